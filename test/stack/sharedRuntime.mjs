import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import vm from 'node:vm';

const require = createRequire(import.meta.url);
const TRANSFORM = {
  isInternalModule: false,
  supportsDynamicImport: true,
  supportsExportNamespaceFrom: true,
  supportsStaticESM: true,
  supportsTopLevelAwait: true,
};

/**
 * Packages and Node's modules as modules of `vm`, by the name that they are imported under; a process has each once. Promises, so that two
 * imports at once find the same one: a synthetic module that nobody holds when it is evaluated ends the process (SIGSEGV, nodejs/node
 * 54735), and those that import it do not hold it.
 */
const shared = new Map();

/**
 * jest's runtime loads every package anew for every test file, a second of CPU and more each time. Here a test file has its own instance of
 * each module of ours, while Node loads packages, and jest's own parts, once a process.
 */
export default class SharedRuntime {
  #transformer;
  #sources;
  #coverage;
  /** By absolute path. */
  #modules = new Map();
  #sourceMaps = new Map();
  #mocks = new Map();
  /** Modules are linked one after the other: `link` does not wait for what another call is linking. */
  #linking = Promise.resolve();
  #evaluated = new WeakMap();

  constructor(_config, _environment, _resolver, transformer, sources, coverage) {
    this.#transformer = transformer;
    this.#sources = sources;
    this.#coverage = coverage;
  }

  unstable_shouldLoadAsEsm() {
    return true;
  }

  async unstable_importModule(file) {
    return this.#run(this.#load(file));
  }

  /** jest's own parts: what keeps the state of one test file is loaded anew. */
  requireInternalModule(file) {
    delete require.cache[file];
    return require(file);
  }

  requireModule(from, name) {
    return createRequire(from)(name);
  }

  getSourceMaps() {
    return this.#sourceMaps;
  }

  getAllCoverageInfoCopy() {
    return undefined;
  }

  setGlobalsForRuntime() {}
  enterTestCode() {}
  leaveTestCode() {}

  /** Modules are left to whoever still runs in them. */
  teardown() {}

  async #run(module) {
    this.#linking = this.#linking
      .catch(() => undefined)
      .then(() => module.status === 'unlinked' && module.link((name, from) => this.#resolve(name, from)));
    await this.#linking;
    if (!this.#evaluated.has(module)) this.#evaluated.set(module, module.evaluate());
    await this.#evaluated.get(module);
    return module;
  }

  async #resolve(name, from) {
    const mock = this.#mocks.get(name);
    if (mock !== undefined) return mock;
    return isOurs(name) ? this.#load(fileOf(name, from.identifier)) : sharedModule(name);
  }

  #load(file) {
    let module = this.#modules.get(file);
    if (module === undefined) {
      module = file.endsWith('.json')
        ? synthetic(file, { default: JSON.parse(readFileSync(file, 'utf8')) })
        : this.#compile(file);
      this.#modules.set(file, module);
    }
    return module;
  }

  #compile(file) {
    const source = this.#sources.get(file) ?? readFileSync(file, 'utf8');
    const { code, sourceMapPath } = this.#transformer.transform(
      file,
      { ...TRANSFORM, ...this.#coverage },
      source,
    );
    if (sourceMapPath) this.#sourceMaps.set(file, sourceMapPath);
    return new vm.SourceTextModule(code, {
      identifier: file,
      importModuleDynamically: async (name, from) => this.#run(await this.#resolve(name, from)),
      initializeImportMeta: (meta) => {
        meta.url = pathToFileURL(file).href;
        meta.filename = file;
        meta.dirname = path.dirname(file);
        meta.resolve = (name) =>
          isOurs(name) ? pathToFileURL(fileOf(name, file)).href : import.meta.resolve(name);
        meta.jest = { unstable_mockModule: (name, make) => this.#mocks.set(name, synthetic(name, make())) };
      },
    });
  }
}

const isOurs = (name) => /^(\.{1,2}|file:\/\/)?\//.test(name);

/** A TypeScript file is imported under the name of the JavaScript that would come of it. */
function fileOf(name, from) {
  const file = name.startsWith('file:') ? fileURLToPath(name) : path.resolve(path.dirname(from), name);
  const source = file.replace(/\.js$/, '.ts');
  return existsSync(source) ? source : file;
}

function sharedModule(name) {
  let module = shared.get(name);
  if (module === undefined) {
    module = import(name).then((exports) => synthetic(name, exports));
    shared.set(name, module);
  }
  return module;
}

function synthetic(identifier, exports) {
  return new vm.SyntheticModule(
    Object.keys(exports),
    function () {
      for (const [name, value] of Object.entries(exports)) this.setExport(name, value);
    },
    { identifier },
  );
}
