/** The shares as tiles. */
import { CodeText } from './code-text.tsx'
import type { DeskProps } from './props.ts'
import { Tile } from './tile.tsx'

export function Shares({ desk }: DeskProps) {
  const { shares, words } = desk
  return (
    <section class="shares" aria-labelledby="shares-title">
      <h2 id="shares-title">
        {words.sharesTitle} <span class="count">{desk.format.number(shares.length)}</span>
      </h2>
      {shares.length === 0 ? (
        <p class="none">
          {words.sharesNone} {words.sharesNoneNext}{' '}
          <CodeText text="`nearport share private 192.168.1.185:9100 --unique-name pc1`" />
        </p>
      ) : (
        <ul class="tiles">
          {shares.map((share) => (
            <Tile key={share.name} desk={desk} share={share} />
          ))}
        </ul>
      )}
    </section>
  )
}
