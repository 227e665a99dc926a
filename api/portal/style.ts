import type { PortalSettings } from './settings.js';

/** Relative luminance by WCAG 2, of `#rrggbb`: 0 is black, 1 is white. */
function luminance(color: string): number {
  const channel = (at: number): number => {
    const part = parseInt(color.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5);
}

/** Of black and white what is read better on it. */
const onTop = (color: string): string => (luminance(color) > 0.179 ? '#111111' : '#ffffff');

/** The style sheet of the page. Colours are checked by the configuration. */
export function styleSheet({ accent, background }: Pick<PortalSettings, 'accent' | 'background'>): string {
  const text = onTop(background);
  const dark = text === '#ffffff';
  return `:root { color-scheme: ${dark ? 'dark' : 'light'}; --accent: ${accent}; --on-accent: ${onTop(accent)}; --back: ${background}; --text: ${text};
  --soft: color-mix(in srgb, ${text} 68%, ${background}); --line: color-mix(in srgb, ${text} 18%, ${background});
  --card: color-mix(in srgb, ${background} 55%, ${dark ? '#222222' : '#ffffff'}); }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text); font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main, header, footer { max-width: 42rem; margin: 0 auto; padding: 0 1rem; }
header { display: flex; align-items: center; gap: .75rem; padding-top: 1.25rem; }
header img { height: 2rem; width: auto; }
header p { margin: 0; font-weight: 600; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 1.25rem 0 .5rem; }
h2 { font-size: 1.125rem; line-height: 1.3; margin: 0; overflow-wrap: anywhere; }
h3 { font-size: .875rem; margin: 1rem 0 .25rem; color: var(--soft); font-weight: 600; }
p { margin: .5rem 0; overflow-wrap: anywhere; }
ul { margin: .25rem 0; padding-left: 1.25rem; }
a { color: inherit; }
.soft { color: var(--soft); }
.notice { border-left: .25rem solid var(--accent); background: var(--card); padding: .75rem 1rem; margin: 1rem 0; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: 1rem; margin: 1rem 0; }
.who { display: flex; gap: .75rem; align-items: center; }
.who p { margin: 0; }
.face { flex: none; width: 2.75rem; height: 2.75rem; border-radius: .625rem; object-fit: contain; }
.initial { display: grid; place-items: center; background: var(--accent); color: var(--on-accent); font-weight: 700; font-size: 1.25rem; }
.ended { border-style: dashed; }
form { margin: 0; }
fieldset { border: 0; margin: 0; padding: 0; min-width: 0; }
legend { padding: 0; }
label { display: flex; gap: .75rem; align-items: center; min-height: 2.75rem; overflow-wrap: anywhere; }
input[type=checkbox] { flex: none; width: 1.25rem; height: 1.25rem; accent-color: var(--accent); }
button, .button { display: block; width: 100%; min-height: 2.75rem; padding: .6rem 1rem; margin: .5rem 0 0; border: 1px solid var(--line); border-radius: .625rem;
  background: transparent; color: inherit; font: inherit; font-weight: 600; text-align: center; text-decoration: none; cursor: pointer; }
.first { background: var(--accent); border-color: var(--accent); color: var(--on-accent); }
button:focus-visible, a:focus-visible, input:focus-visible { outline: .1875rem solid var(--accent); outline-offset: .125rem; }
footer { padding-bottom: 3rem; font-size: .875rem; }
@media (min-width: 36rem) { button, .button { display: inline-block; width: auto; margin-right: .5rem; } }
`;
}
