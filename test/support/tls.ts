import { createSelfSignedCertificate, HashAlgorithm, NamedCurveAlgorithm, SignatureAlgorithm } from 'werift'

/** A certificate that nobody signed, and its key, as PEM. */
export async function testCertificate(): Promise<{ cert: Buffer; key: Buffer }> {
  const { certPem, keyPem } = await createSelfSignedCertificate(
    { signature: SignatureAlgorithm.ecdsa_3, hash: HashAlgorithm.sha256_4 },
    NamedCurveAlgorithm.secp256r1_23,
  )
  return { cert: Buffer.from(certPem), key: Buffer.from(keyPem) }
}
