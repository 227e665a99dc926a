import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser, Frame, Page } from 'puppeteer-core';

/** What the page's callbacks were given, in order. */
interface Called {
  callback: 'onLoad' | 'onSuccess' | 'onExit' | 'onEvent';
  given: any[];
}

/** A front end that knows nothing of the simulator but the address of its script. */
function html(script: string): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>App</title></head>
<body><h1>Harbor Budget</h1><button id="connect">Connect</button>
<script src="${script}"></script>
<script>
  const query = new URLSearchParams(location.search);
  const calls = [];
  const hear = (callback) => (...given) => calls.push({ callback, given });
  const handler = Plaid.create({
    token: query.get('token'),
    receivedRedirectUri: query.has('oauth_state_id') ? location.href : undefined,
    onLoad: hear('onLoad'), onSuccess: hear('onSuccess'), onExit: hear('onExit'), onEvent: hear('onEvent'),
  });
  document.getElementById('connect').onclick = () => handler.open();
  if (query.has('oauth_state_id')) handler.open();
</script></body></html>`;
}

/** Serves the front end on an origin of its own. */
export class FrontEnd {
  private constructor(
    private readonly server: Server,
    readonly url: string,
  ) {}

  static async start(simulatorUrl: string): Promise<FrontEnd> {
    const page = html(`${simulatorUrl}/link/v2/stable/link-initialize.js`);
    const server = createServer((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(page);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new FrontEnd(server, `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  }

  stop(): Promise<void> {
    return new Promise((resolve) => {
      this.server.close(() => resolve());
      this.server.closeAllConnections();
    });
  }
}

/** A user in front of the front end, or of a hosted page. */
export class Visitor {
  /** What went wrong in any of the pages; a test expects it to be empty. */
  readonly complaints: string[] = [];

  private constructor(
    readonly page: Page,
    private link: Frame,
  ) {}

  /** Opens the front end with a token, or another page of Link, and presses its button. */
  static async open(browser: Browser, url: string, width = 1000): Promise<Visitor> {
    const page = await browser.newPage();
    const visitor = new Visitor(page, page.mainFrame());
    page.on('console', (message) => {
      if (message.type() === 'error') visitor.complaints.push(message.text());
    });
    page.on('pageerror', (error) => visitor.complaints.push(String(error)));
    await page.setViewport({ width, height: 720 });
    await page.goto(url);
    return visitor;
  }

  async connect(): Promise<void> {
    await this.page.click('#connect');
    await this.enterFrame();
  }

  async enterFrame(): Promise<void> {
    const frame = await (await this.page.waitForSelector('dialog[open] iframe'))?.contentFrame();
    if (!frame) throw new Error('Link has no frame');
    this.link = frame;
  }

  get frame(): Frame {
    return this.link;
  }

  /** Waits for a screen by its heading. */
  sees(heading: string): Promise<void> {
    return this.waitsFor(`document.querySelector('h1')?.textContent?.includes(${JSON.stringify(heading)})`);
  }

  seesAlert(words: string): Promise<void> {
    return this.waitsFor(
      `document.querySelector('[role=alert]')?.textContent?.includes(${JSON.stringify(words)})`,
    );
  }

  /** Expressions of the browser are text: types here are Node's. */
  private async waitsFor(expression: string): Promise<void> {
    await this.link.waitForFunction(expression);
  }

  /** Text and keys go to whatever has the focus: nobody clicks into a field. */
  async types(...input: string[]): Promise<void> {
    for (const part of input) {
      if (part === 'Tab' || part === 'Enter' || part === 'Escape' || part === 'Space') {
        await this.page.keyboard.press(part);
      } else await this.page.keyboard.type(part);
    }
  }

  async signsIn(username: string, password: string): Promise<void> {
    await this.types(username, 'Tab', password, 'Enter');
  }

  async searches(text: string, institutionId: string): Promise<void> {
    await this.sees('Choose your bank');
    await this.types(text);
    await this.waitsFor(
      `document.querySelectorAll('[data-institution]').length < 10 &&
        document.querySelector('[data-institution="${institutionId}"]') !== null`,
    );
    // Each answer of the search draws the list anew: a locator finds the bank again.
    await this.link.locator(`[data-institution="${institutionId}"]`).click();
  }

  calls(): Promise<Called[]> {
    return this.page.evaluate('calls') as Promise<Called[]>;
  }

  /** What a callback was given, once it was called. */
  async given(callback: Called['callback']): Promise<any[]> {
    await this.page.waitForFunction(`calls.some(({ callback }) => callback === ${JSON.stringify(callback)})`);
    const calls = await this.calls();
    return calls.filter((call) => call.callback === callback).at(-1)?.given ?? [];
  }

  /** The names of all events so far, views with an arrow. */
  async events(): Promise<string[]> {
    const calls = await this.calls();
    return calls
      .filter(({ callback }) => callback === 'onEvent')
      .map(({ given: [name, metadata] }) =>
        name === 'TRANSITION_VIEW' ? `→ ${metadata.view_name}` : String(name),
      );
  }
}
