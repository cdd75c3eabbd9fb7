/**
 * In the bundle of the command line this stands for the package debug. Where the environment has DEBUG, that one
 * writes to stderr what simple-peer and werift do, keys included: past the log and its format.
 */
const silent = () => undefined
const debug = () => Object.assign(() => undefined, { enabled: false, extend: debug, log: silent, destroy: silent })
module.exports = Object.assign(debug, { debug, default: debug, enable: silent, disable: silent, enabled: () => false })
