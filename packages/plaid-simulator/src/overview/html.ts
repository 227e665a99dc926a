const ENTITIES: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Text that is HTML already and is not escaped again. */
export class Html {
  constructor(readonly text: string) {}
}

type Value = Html | readonly Html[] | string | number | null;

/** A template of HTML: everything put in is escaped unless it was made by this tag. */
export function html(literals: TemplateStringsArray, ...values: Value[]): Html {
  const shown = (value: Value): string => {
    if (value === null) return '';
    if (typeof value === 'string' || typeof value === 'number') {
      return String(value).replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '');
    }
    return value instanceof Html ? value.text : value.map(shown).join('');
  };
  return new Html(literals.reduce((text, literal, n) => text + shown(values[n - 1] ?? '') + literal));
}
