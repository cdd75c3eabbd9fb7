/** The console: draws the desk, and draws it again when something changed. */
import { render } from 'preact'
import { connect } from '../browser/index.ts'
import { Desk } from './desk.ts'
import { takeDrops } from './drop.ts'
import { CONSOLE } from './limits.ts'
import { serverOf } from './link.ts'
import { rememberedLanguage, rememberLanguage } from './remembered.ts'
import { App } from './views/app.tsx'
import { chooseLanguage } from './words.ts'

const root = document.getElementById('console') ?? document.body
const meta = document.querySelector('meta[name="nearport-server"]')?.getAttribute('content') ?? null

let isDrawing = false

/** At most once a frame. */
function changed(): void {
  if (isDrawing) return
  isDrawing = true
  requestAnimationFrame(() => {
    isDrawing = false
    document.documentElement.lang = desk.language
    document.title = desk.pending === 0 ? desk.words.title : `(${desk.format.number(desk.pending)}) ${desk.words.title}`
    render(<App desk={desk} />, root)
  })
}

const desk = new Desk(
  {
    server: serverOf(location.href, meta),
    connect,
    rememberKey: (key) => history.replaceState(null, '', `#${key}`),
    rememberLanguage,
    changed,
  },
  chooseLanguage(rememberedLanguage(), navigator.languages),
)

takeDrops(desk)
addEventListener('hashchange', () => location.reload())
// Gone away, the page has left the network; a browser that shows it again brings back what it was.
addEventListener('pageshow', ({ persisted }) => {
  if (persisted) location.reload()
})
addEventListener('beforeunload', (event) => {
  if (desk.pending > 0) event.preventDefault()
})
setInterval(() => {
  desk.noticeStalls()
  if (!document.hidden) void desk.lookAtPaths()
}, CONSOLE.lookInterval)

root.replaceChildren()
changed()
void desk.start(location.hash.slice(1))
