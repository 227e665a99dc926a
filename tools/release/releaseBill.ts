import { licenceOf } from './licences.js';

interface Component {
  name: string;
  version: string;
  purl: string;
  'bom-ref': string;
  licenses?: { license: { id?: string; name?: string } }[];
}

/** A bill of materials, CycloneDX 1.5, as far as it is looked at here. */
export interface Bill {
  bomFormat: string;
  specVersion: string;
  metadata: { component: Component };
  components: Component[];
}

/**
 * npm's bill of materials, named after the release: npm calls it after the folder of the clone. Packages that name no licence get the
 * one that was read.
 */
export function releaseBill(bill: Bill, { name, version }: { name: string; version: string }): Bill {
  return {
    ...bill,
    metadata: {
      ...bill.metadata,
      component: { ...bill.metadata.component, name, version, purl: `pkg:npm/${name}@${version}` },
    },
    components: bill.components.map((component) => {
      if ((component.licenses ?? []).length > 0) return component;
      const licence = licenceOf(component.name, { version: component.version });
      return licence === null ? component : { ...component, licenses: [{ license: { name: licence } }] };
    }),
  };
}
