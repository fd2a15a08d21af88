package sqlstore

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tallystick/tallystick/internal/store"
)

// halfMoved stands before the name of an issuer whose data is not all there yet, so
// that no server takes it for its own.
const halfMoved = "(half moved) "

var errHalfMoved = fmt.Errorf("%w: the data is half moved; give the same `tallystick migrate` again to finish", errRefused)

// nameless says why an issuer's id is there and its name is not.
func nameless(t tx, id store.IssuerID) error {
	r, err := t.one(`SELECT name FROM issuer WHERE id = $1`, id[:])
	if err != nil {
		return err
	}
	if r != nil && strings.HasPrefix(r.text(), halfMoved) {
		return errHalfMoved
	}
	return errors.New("the candidate's id is another issuer's")
}

type issuerRow struct {
	id    store.IssuerID
	name  string
	check [32]byte
}

func (s *side) issuers() (all []issuerRow, err error) {
	err = s.all("SELECT id, name, master_check FROM issuer ORDER BY name", func(r *row) error {
		all = append(all, issuerRow{r.id(), r.text(), r.hash()})
		return r.err
	})
	return all, s.explain(err)
}

// state judges what is at the target: nothing, a part of this move (begun), or all
// that it has brought (done). Anything else is refused.
func (w *mover) state() (begun, done bool, err error) {
	refuse := func(what string) (bool, bool, error) {
		return false, false, fmt.Errorf("%s %s; a move needs an empty database, or one that an earlier run of it has not finished", w.to.what, what)
	}
	there, err := w.to.issuers()
	if err != nil {
		return false, false, err
	}
	known := map[store.IssuerID]issuerRow{}
	for _, i := range w.issuers {
		known[i.id] = i
	}
	half := 0
	for _, i := range there {
		name, marked := strings.CutPrefix(i.name, halfMoved)
		if marked {
			half++
		}
		if is := known[i.id]; is.name != name || is.check != i.check {
			return refuse("holds another issuer's data")
		}
	}
	if half != 0 && half != len(there) {
		return refuse("is in use")
	}
	for i := range w.tables {
		t := &w.tables[i]
		if t.name == issuers {
			continue
		}
		n, err := w.to.number(t.count() + " WHERE issuer NOT IN (SELECT id FROM issuer)")
		if err != nil {
			return false, false, err
		}
		if n != 0 {
			return refuse("holds rows of no known issuer in the table " + t.name)
		}
	}
	return half > 0, len(there) > 0 && half == 0, nil
}

// beginIssuers writes the issuers under names that no server has. An earlier run's
// may be old, and nothing else refers to a name.
func (w *mover) beginIssuers() error {
	t := w.table(issuers)
	rows, name, err := [][]any(nil), t.at("name"), error(nil)
	err = w.from.all(t.all(), func(r *row) error {
		values := kept(nil, r.values)
		values[name] = halfMoved + values[name].(string)
		rows = append(rows, values)
		return nil
	})
	if err != nil {
		return w.from.explain(err)
	}
	return w.to.together(func() error {
		if _, err := w.to.exec("DELETE FROM issuer"); err != nil {
			return w.to.explain(err)
		}
		for _, values := range rows {
			if _, err := w.to.exec(t.insert(w.to.dialect, 1), values...); err != nil {
				return w.to.explain(err)
			}
		}
		return nil
	})
}

// finishIssuers gives the issuers their names: from now on servers find them.
func (w *mover) finishIssuers() error {
	return w.to.together(func() error {
		for _, i := range w.issuers {
			q := "UPDATE issuer SET name = " + w.to.mark(1) + " WHERE id = " + w.to.mark(2)
			if _, err := w.to.exec(q, i.name, i.id[:]); err != nil {
				return w.to.explain(err)
			}
		}
		return nil
	})
}
