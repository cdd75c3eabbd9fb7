/**
 * Packages that the bundled command line loads from node_modules, as they look beside themselves for their binaries, or
 * at their own path. Who installs nearport gets these and no others.
 */
export const EXTERNAL = ['node-datachannel', 'classic-level', 'write-file-atomic']
