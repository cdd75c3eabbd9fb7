/** How a file or typed text gets to a printer. */
import type { Desk } from '../desk.ts'
import type { TextKind } from '../receipt.ts'
import { Shape } from './shape.tsx'

interface PrintFormProps {
  readonly desk: Desk
  readonly name: string
  readonly isOver: boolean
}

const KINDS: readonly TextKind[] = ['plain', 'receipt', 'receiptChinese']

const isKind = (value: string): value is TextKind => (KINDS as readonly string[]).includes(value)

export function PrintForm({ desk, name, isOver }: PrintFormProps) {
  const { words } = desk
  return (
    <section class="print" aria-label={words.printOn(name)}>
      <p class="drop">
        <Shape kind="printer" />
        {isOver ? words.dropNow : words.drop}{' '}
        <label class="choose">
          <input
            type="file"
            multiple
            aria-label={words.chooseFor(name)}
            onChange={({ currentTarget }) => {
              desk.printFiles(name, currentTarget.files ?? [])
              // Else the same file cannot be chosen twice.
              currentTarget.value = ''
            }}
          />
          <span aria-hidden="true">{words.choose}</span>
        </label>
      </p>
      <details>
        <summary>{words.typeText}</summary>
        <form
          onSubmit={(event) => {
            event.preventDefault()
            const { currentTarget: form } = event
            const data = new FormData(form)
            const [text, kind] = [String(data.get('text')), String(data.get('kind'))]
            if (!isKind(kind)) return
            desk.printText(name, text, kind)
          }}
        >
          <label for={`text-${name}`}>{words.textLabel}</label>
          <textarea id={`text-${name}`} name="text" rows={5} required spellcheck={false} />
          <label for={`kind-${name}`}>{words.kindLabel}</label>
          <div class="row">
            <select id={`kind-${name}`} name="kind">
              {KINDS.map((kind) => (
                <option key={kind} value={kind}>
                  {words.kinds[kind]}
                </option>
              ))}
            </select>
            <button type="submit" class="main">
              {words.print}
            </button>
          </div>
        </form>
      </details>
    </section>
  )
}
