/** Every contender, the ceiling first. */
import { channel, KINDS } from './channels.ts'
import type { Contender } from './contender.ts'
import { hypertele } from './hypertele.ts'
import { nearport } from './nearport.ts'
import { nodeRelay } from './node-relay.ts'
import { rawTcp } from './raw.ts'
import { sshForward } from './ssh.ts'

export const CONTENDERS: readonly Contender[] = [
  rawTcp,
  nodeRelay,
  channel(KINDS.bareNative),
  nearport('native'),
  channel(KINDS.plainNative),
  channel(KINDS.bareWerift),
  nearport('werift'),
  channel(KINDS.naiveWerift),
  sshForward,
  hypertele,
]
