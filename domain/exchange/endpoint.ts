export const signatureKinds = ['hmac', 'ed25519'] as const;
export type SignatureKind = (typeof signatureKinds)[number];

/** `failing`: it answers wrongly and is asked less often. `disabled`: by us, after days of failure or a 410. `paused`: by its owner. */
export const endpointStates = ['enabled', 'paused', 'failing', 'disabled'] as const;
export type EndpointState = (typeof endpointStates)[number];

/** `held`: its endpoint is off. `superseded`: a newer `item.updated` covers it. `cancelled`: its application may not be told any more. */
export const deliveryStates = ['pending', 'delivered', 'failed', 'superseded', 'cancelled', 'held'] as const;
export type DeliveryState = (typeof deliveryStates)[number];
