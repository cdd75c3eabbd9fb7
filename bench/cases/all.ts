/** Every case, in the order of the report. */
import { bulkCase } from './bulk.ts'
import type { Case } from './case.ts'
import { coldCase } from './cold.ts'
import { comebackCase } from './comeback.ts'
import { fairCase } from './fair.ts'
import { firstByteCase } from './first-byte.ts'
import { networkCase } from './network.ts'
import { scaleCase } from './scale.ts'
import { shortCase } from './short.ts'
import { signalingCase } from './signaling.ts'
import { stalledCase } from './stalled.ts'
import { startCase } from './start.ts'
import { writingCase } from './writing.ts'

export const CASES: readonly Case[] = [
  bulkCase,
  shortCase,
  firstByteCase,
  coldCase,
  startCase,
  stalledCase,
  fairCase,
  scaleCase,
  comebackCase,
  signalingCase,
  networkCase,
  writingCase,
]
