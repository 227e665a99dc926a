/** Keyword search attributes of our workflows, for operators. Ids and codes only: Temporal shows them in the clear. */
export const searchAttributes = {
  item: 'SluiceItem',
  user: 'SluiceUser',
  institution: 'SluiceInstitution',
  phase: 'SluicePhase',
  status: 'SluiceStatus',
} as const;
