package storetest

import (
	"github.com/tallystick/tallystick/internal/store"
)

func secret(client, name string, created store.Time) store.ClientSecret {
	return store.ClientSecret{ClientID: client, Hash: id32("secret " + name), CreatedAt: created, ExpiresAt: t0 + 99}
}

// counted wants an act to count the config version up, once.
func (w *world) counted(act func()) {
	w.Helper()
	before, err := w.s.ConfigVersion(w.ctx)
	w.must(err)
	act()
	after, err := w.s.ConfigVersion(w.ctx)
	w.must(err)
	w.same("ConfigVersion", after, before+1)
}

func (w *world) putSecret(s store.ClientSecret) {
	w.Helper()
	w.counted(func() { w.must(w.s.PutClientSecret(w.ctx, s)) })
}

// putClient makes a client of the standard face.
func (w *world) putClient(id string, change ...func(*store.Client)) {
	w.Helper()
	c := fullClient()
	c.ID = id
	for _, f := range change {
		f(&c)
	}
	w.must(w.s.PutClient(w.ctx, c))
}

// wantSecrets looks at a client by itself and among those of its face.
func (w *world) wantSecrets(client string, want ...store.ClientSecret) {
	w.Helper()
	c, found, err := w.s.Client(w.ctx, client)
	if err != nil || !found {
		w.Fatalf("Client: found = %v, %v", found, err)
	}
	w.same("secrets of "+client, c.Secrets, want)
	all, err := w.s.ClientsOf(w.ctx, face)
	w.must(err)
	for _, c := range all {
		if c.ID == client {
			w.same("secrets of "+client+" among the clients", c.Secrets, want)
			return
		}
	}
	w.Errorf("%s is not among the clients", client)
}

var secretRules = []rule{
	{name: "secret: several, oldest first, each with its client", check: func(w *world) {
		w.putClient("app")
		w.putClient("other")
		w.putClient("without")
		secrets := []store.ClientSecret{secret("app", "z", t0), secret("app", "a", t0+1), secret("app", "m", t0+2)}
		secrets[1].ExpiresAt = 0
		for _, i := range []int{2, 0, 1} {
			w.putSecret(secrets[i])
		}
		same := secret("other", "z", t0+5) // two clients may have one hash
		w.putSecret(same)
		w.wantSecrets("app", secrets...)
		w.wantSecrets("other", same)
		w.wantSecrets("without")
	}},
	{name: "secret: replaced by client and hash", check: func(w *world) {
		w.putClient("app")
		w.putClient("other")
		a, b, others := secret("app", "a", t0), secret("app", "b", t0+1), secret("other", "a", t0)
		for _, s := range []store.ClientSecret{a, b, others} {
			w.putSecret(s)
		}
		a.CreatedAt, a.ExpiresAt = t0+2, t0+3
		w.putSecret(a)
		w.wantSecrets("app", b, a)
		w.wantSecrets("other", others)
	}},
	{name: "secret: taken away, the client's and no other", check: func(w *world) {
		w.putClient("app")
		w.putClient("other")
		a, b, others := secret("app", "a", t0), secret("app", "b", t0+1), secret("other", "a", t0)
		for _, s := range []store.ClientSecret{a, b, others} {
			w.putSecret(s)
		}
		w.counted(func() { w.must(w.s.DeleteClientSecret(w.ctx, "app", a.Hash)) })
		w.must(w.s.DeleteClientSecret(w.ctx, "app", a.Hash))
		w.must(w.s.DeleteClientSecret(w.ctx, "nobody", b.Hash))
		w.wantSecrets("app", b)
		w.wantSecrets("other", others)
	}},
	{name: "secret: before there is its client, and untouched by the client's replacement", check: func(w *world) {
		a, b := secret("app", "a", t0), secret("app", "b", t0+1)
		w.fields(a)
		w.putSecret(a)
		w.putSecret(b)
		if _, found, err := w.s.Client(w.ctx, "app"); err != nil || found {
			w.Errorf("a secret has made a client: found = %v, %v", found, err)
		}
		w.putClient("app")
		w.putClient("app", func(c *store.Client) {
			c.Name, c.Secrets = "another", []store.ClientSecret{secret("app", "x", t0)}
		})
		w.wantSecrets("app", a, b)
		w.putClient("app", func(c *store.Client) { c.Secrets = []store.ClientSecret{} })
		w.wantSecrets("app", a, b)
	}},
}
