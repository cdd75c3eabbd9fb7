/** Files dropped on a tile. One that misses is not opened instead of the page. */
import type { Desk } from './desk.ts'

const shareAt = (target: EventTarget | null): string | null =>
  (target instanceof Element ? target.closest('[data-share]')?.getAttribute('data-share') : null) ?? null

const hasFiles = ({ dataTransfer }: DragEvent): boolean => dataTransfer?.types.includes('Files') ?? false

export function takeDrops(desk: Desk): void {
  addEventListener('dragover', (event) => {
    if (!hasFiles(event)) return
    event.preventDefault()
    const share = shareAt(event.target)
    if (event.dataTransfer !== null) event.dataTransfer.dropEffect = share === null ? 'none' : 'copy'
    desk.dropOn(share)
  })
  addEventListener('dragleave', (event) => {
    if (event.relatedTarget === null) desk.dropOn(null)
  })
  addEventListener('drop', (event) => {
    if (!hasFiles(event)) return
    event.preventDefault()
    desk.dropOn(null)
    const share = shareAt(event.target)
    if (share !== null) desk.printFiles(share, event.dataTransfer?.files ?? [])
  })
}
