package storetest

import (
	"slices"

	"github.com/tallystick/tallystick/internal/store"
)

// purgeAt is the time before which is purged what ended, purgeNow when that is done.
const (
	purgeAt  = t0 + 500*second
	purgeNow = purgeAt + 9*second
)

// purging is the intent of a purge that begins a lap.
func purging(table store.Table, limit int) store.Purge {
	return store.Purge{Table: table, Limit: limit, Before: purgeAt, Now: purgeNow}
}

// purged goes through a table until the end, and wants no step to take more than
// its limit. It counts what is deleted.
func (w *world) purged(table store.Table, limit int) (deleted int) {
	w.Helper()
	const most = 200
	in := purging(table, limit)
	for range most {
		out, err := w.s.Purge(w.ctx, in)
		if err != nil {
			w.Fatalf("Purge of %s: %v", table, err)
		}
		if out.Deleted > limit {
			w.Errorf("%d of %d rows deleted at once", out.Deleted, limit)
		}
		deleted += out.Deleted
		if out.Cursor == nil {
			return deleted
		}
		in.Cursor = out.Cursor
	}
	w.Fatalf("a lap through %s has no end", table)
	return deleted
}

// leftover is one row of a table, made so that it has ended in time or not.
type leftover struct {
	name string
	make func(w *world, name string)
	gone bool
}

// litter is what a table is full of.
type litter struct {
	table store.Table
	there func(w *world, name string) bool // nil: nothing shows it but the number
	rows  []leftover
}

// made fills the table.
func (l litter) made(w *world) {
	w.Helper()
	for _, row := range l.rows {
		row.make(w, row.name)
	}
}

// check purges the table by parts of each size, and wants all to go that ended,
// nothing else, and nothing of another issuer.
func (l litter) check(w *world) {
	w.Helper()
	other := w.sibling("other")
	l.made(other)
	for _, limit := range []int{1, 2, 3, 1000} {
		w := w.within("by %d", limit)
		l.made(w)
		gone := 0
		for _, row := range l.rows {
			if row.gone {
				gone++
			}
		}
		w.same("number of rows that are deleted", w.purged(l.table, limit), gone)
		w.same("number of rows that are deleted afterwards", w.purged(l.table, limit), 0)
		if l.there == nil {
			continue
		}
		for _, row := range l.rows {
			if there := l.there(w, row.name); there == row.gone {
				w.Errorf("%q: there = %v, want %v", row.name, there, !row.gone)
			}
			if !l.there(other, row.name) {
				w.Errorf("%q of another issuer is gone", row.name)
			}
		}
	}
}

func purgeRules() []rule {
	var all []rule
	tables := slices.Clone(store.Tables)
	for _, l := range litters {
		all = append(all, rule{name: "purge: of " + string(l.table) + ", what ended before, no more at once than asked for", check: l.check})
		tables = slices.DeleteFunc(tables, func(t store.Table) bool { return t == l.table })
	}
	all = append(all, rule{name: "purge: there is a rule for every table", check: func(w *world) { w.same("tables without", tables, []store.Table{}) }})
	return append(all, purgeStories...)
}
