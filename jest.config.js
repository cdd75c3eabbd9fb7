import { availableParallelism } from 'node:os'

/** @type {import('jest').Config} */
export default {
  testEnvironment: 'node',
  // At least two: much of the time a test waits for what comes over the wire.
  maxWorkers: Math.max(2, availableParallelism() - 1),
  roots: ['<rootDir>/test'],
  testMatch: ['**/*.test.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '\\.ts$': [
      '@swc/jest',
      { jsc: { parser: { syntax: 'typescript' }, target: 'es2023' }, module: { type: 'nodenext' } },
    ],
  },
  // A bound for what hangs, on a machine with much else to do; what works takes a fraction of it.
  testTimeout: process.env.NEARPORT_TEST_LONG === '1' ? 1_800_000 : 180_000,
}
