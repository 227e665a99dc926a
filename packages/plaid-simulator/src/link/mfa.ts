/** The kinds of a second factor, by Plaid's names. */
export type MfaType = 'device' | 'code' | 'questions' | 'selections';

interface Prompt {
  text: string;
  /** What can be chosen; `null`: the user types. */
  options: string[] | null;
  /** The right answer; `null`: any option. */
  answer: string | null;
}

/** One screen of a challenge. */
export interface MfaStep {
  type: MfaType;
  prompts: Prompt[];
}

const CODE = '1234';
const DEVICES = ['Text message to •••• 0144', 'Text message to •••• 0199', 'E-mail to u•••@example.com'];
const QUESTIONS = /^mfa_questions_([1-9])_([1-9])$/;
const SELECTIONS = /^mfa_selections_([1-9])_([1-9])_([2-9])$/;

const times = <T>(n: number, make: (index: number) => T): T[] =>
  Array.from({ length: n }, (_, index) => make(index));

/** The challenge that a password of Plaid's sandbox stands for, screen by screen; `null` when it stands for none. */
export function challengeOf(password: string): MfaStep[] | null {
  if (password === 'mfa_device') {
    return [
      {
        type: 'device',
        prompts: [{ text: 'Where should the code be sent?', options: DEVICES, answer: null }],
      },
      { type: 'code', prompts: [{ text: 'Code', options: null, answer: CODE }] },
    ];
  }
  if (password === 'mfa_selections') {
    return [
      {
        type: 'selections',
        prompts: [{ text: 'Is it you who is signing in?', options: ['Yes', 'No'], answer: 'Yes' }],
      },
    ];
  }
  const questions = QUESTIONS.exec(password);
  if (questions) {
    const [rounds, asked] = questions.slice(1).map(Number);
    return times(rounds ?? 0, (i) => ({
      type: 'questions',
      prompts: times(asked ?? 0, (j) => ({
        text: `Security question ${j + 1} of round ${i + 1}`,
        options: null,
        answer: `answer_${i}_${j}`,
      })),
    }));
  }
  const selections = SELECTIONS.exec(password);
  if (selections) {
    const [rounds, asked, offered] = selections.slice(1).map(Number);
    return times(rounds ?? 0, (i) => ({
      type: 'selections',
      prompts: times(asked ?? 0, (j) => ({
        text: `Question ${j + 1} of round ${i + 1}`,
        options: times(offered ?? 0, (k) => `answer_${i}_${j}_${k}`),
        answer: `answer_${i}_${j}_0`,
      })),
    }));
  }
  return null;
}

/** Whether these are the answers to a screen. */
export function isAnswered(step: MfaStep, answers: readonly string[]): boolean {
  return (
    answers.length === step.prompts.length &&
    step.prompts.every(({ options, answer }, index) => {
      const given = answers[index]?.trim() ?? '';
      return answer === null ? (options?.includes(given) ?? given !== '') : given === answer;
    })
  );
}

/** What a user who knows everything answers. */
export function rightAnswers(step: MfaStep): string[] {
  return step.prompts.map(({ options, answer }) => answer ?? options?.[0] ?? '');
}
