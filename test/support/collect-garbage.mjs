/**
 * Preloaded into a process whose memory is measured: garbage is collected all the time, so that what it holds is what
 * it needs. Left to itself, V8 lets up to 64 MiB of dropped buffers lie about.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

const EVERY_MS = 200

setFlagsFromString('--expose-gc')
setInterval(runInNewContext('gc'), EVERY_MS).unref()
