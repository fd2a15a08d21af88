package server_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tallystick/tallystick/internal/server"
	"github.com/tallystick/tallystick/internal/store/sqlstore"
	"github.com/tallystick/tallystick/internal/store/storetest"
	"github.com/tallystick/tallystick/internal/testkit"
	"github.com/tallystick/tallystick/internal/testkit/postgres"
)

// outage is a database that can go and come back.
type outage struct {
	config     sqlstore.Config
	away, back func() error
}

func sqliteOutage(t *testing.T) outage {
	tap := new(storetest.Tap)
	full := func(storetest.Kind, string, func() error) error { return errors.New("disk full") }
	return outage{
		config: sqlstore.Config{Path: filepath.Join(t.TempDir(), "t.db"), WrapConnector: tap.Connector, Log: testkit.NoLog()},
		away:   func() error { tap.Hook(full); return nil },
		back:   func() error { tap.Hook(nil); return nil },
	}
}

func postgresOutage(t *testing.T) outage {
	s, err := postgres.Start(false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	url, err := s.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return outage{config: sqlstore.Config{URL: url, Log: testkit.NoLog()}, away: s.Crash, back: s.Boot}
}

func get(h http.Handler, path string) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
	return rec
}

// While the database is away, every exchange is told to come back, readyz is red, and
// what needs no database is served. It comes back by itself, and no token is lost.
func TestDatabaseAwayAndBack(t *testing.T) {
	for name, begin := range map[string]func(*testing.T) outage{"SQLite": sqliteOutage, "PostgreSQL": postgresOutage} {
		t.Run(name, func(t *testing.T) {
			o := begin(t)
			db, err := sqlstore.Open(t.Context(), o.config)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			s, err := server.OpenOn(t.Context(), db, server.Config{Issuer: testkit.Issuer, Master: testkit.NewMaster(t), Log: testkit.NoLog()})
			if err != nil {
				t.Fatal(err)
			}
			// The database is on this machine.
			if apart := time.Since(s.Engine.Now()).Abs(); apart > time.Second {
				t.Fatalf("the store's clock is %v from ours", apart)
			}
			now := s.Engine.Now().UnixMilli()
			err = errors.Join(
				s.Store.PutClient(t.Context(), testkit.AnonymousClient(testkit.Shop, now)),
				s.Store.PutClient(t.Context(), testkit.AppClient(testkit.App, now, testkit.AppCallback)),
				s.Store.PutClient(t.Context(), testkit.StandardClient(testkit.Service, now)),
				s.Engine.PutClientSecret(t.Context(), testkit.Service, testkit.ServiceSecret, time.Time{}),
			)
			if err != nil {
				t.Fatal(err)
			}
			code := testkit.Send(s.Handler, testkit.DressipiAuthorize(testkit.Shop)).Code
			a := testkit.Send(s.Handler, testkit.DressipiRedeem(testkit.Shop, code))
			if a.Status != 200 || get(s.Handler, "/readyz").Code != 200 {
				t.Fatalf("%d %s, and readyz says %s", a.Status, a.Body, get(s.Handler, "/readyz").Body)
			}
			keys := get(s.Handler, "/oauth2/jwks").Body.String()

			if err := o.away(); err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Second) // what is known of clients is not looked at again before
			for what, r := range map[string]*http.Request{
				"a refresh": testkit.DressipiRefresh(testkit.Shop, a.RefreshToken),
				"a sign-in": testkit.UserdocksCodes(testkit.App, testkit.Email, testkit.Password),
				"a service": httptest.NewRequest(http.MethodPost, "/oauth2/token", strings.NewReader("grant_type=client_credentials")),
				"readyz":    httptest.NewRequest(http.MethodGet, "/readyz", nil),
			} {
				if what == "a service" {
					r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
					r.SetBasicAuth(testkit.Service, testkit.ServiceSecret)
				}
				if a := testkit.Send(s.Handler, r); a.Status != 503 || a.Header.Get("Retry-After") == "" || a.AccessToken != "" {
					t.Errorf("%s: %d, Retry-After %q, %s", what, a.Status, a.Header.Get("Retry-After"), a.Body)
				}
			}
			for _, path := range []string{"/livez", "/oauth2/jwks", "/.well-known/openid-configuration"} {
				if rec := get(s.Handler, path); rec.Code != 200 || path == "/oauth2/jwks" && rec.Body.String() != keys {
					t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
				}
			}

			if err := o.back(); err != nil {
				t.Fatal(err)
			}
			since := time.Now()
			for get(s.Handler, "/readyz").Code != 200 {
				if time.Since(since) > 5*time.Second {
					t.Fatalf("not ready after %v: %s", time.Since(since), get(s.Handler, "/readyz").Body)
				}
				<-time.After(10 * time.Millisecond)
			}
			t.Logf("ready again after %v", time.Since(since))
			if again := testkit.Send(s.Handler, testkit.DressipiRefresh(testkit.Shop, a.RefreshToken)); again.Status != 200 {
				t.Errorf("the refresh after it: %d %s", again.Status, again.Body)
			}
		})
	}
}
