package arch

// module is the path that the table's package names are relative to.
const module = "github.com/tallystick/tallystick"

// A row says what one package may import of ours. Only files that are not tests
// are judged: a test may reach for what it needs.
type row struct {
	imports []string
	// testOnly packages are imported by tests, and by one another, only.
	testOnly bool
	// planned packages need not exist yet.
	planned bool
}

// table has a row for every package in the tree.
var table = map[string]row{
	"cmd/tallystick": {imports: []string{"internal/cli"}},
	"e2e":            {},
	"internal/arch":  {},

	// The leaves: values, formats, cryptography.
	"internal/oauth":    {},
	"internal/tally":    {},
	"internal/jose":     {},
	"internal/seal":     {},
	"internal/password": {},

	// What goes out: mails, and exchanges with the addresses of clients.
	"internal/fetch": {},
	"internal/mail":  {},

	// The contract and its one backend.
	"internal/store":           {imports: []string{"internal/oauth"}},
	"internal/store/sqlstore":  {imports: []string{"internal/oauth", "internal/store"}},
	"internal/store/storetest": {imports: []string{"internal/oauth", "internal/store"}, testOnly: true},

	// The use cases.
	"internal/engine": {imports: []string{
		"internal/jose", "internal/oauth", "internal/password", "internal/seal", "internal/store", "internal/tally",
	}},

	// The faces. None knows the store or another face; the demonstration pages
	// talk to them as a client does, through their http.Handler.
	"internal/wire":           {imports: []string{"internal/oauth"}},
	"internal/wire/oidc":      {imports: []string{"internal/engine", "internal/jose", "internal/oauth", "internal/wire", "internal/wire/pages"}},
	"internal/wire/userdocks": {imports: []string{"internal/engine", "internal/jose", "internal/oauth", "internal/wire", "internal/wire/pages"}},
	"internal/wire/dressipi":  {imports: []string{"internal/engine", "internal/jose", "internal/oauth", "internal/wire"}},
	"internal/wire/pages":     {imports: []string{"internal/engine", "internal/oauth", "internal/wire"}},
	"internal/wire/demo":      {imports: []string{"internal/oauth", "internal/wire"}},

	// What an operator sets, and what files put into the store.
	"internal/config": {imports: []string{"internal/mail", "internal/oauth"}},
	"internal/seed": {imports: []string{
		"internal/engine", "internal/jose", "internal/oauth", "internal/password", "internal/seal", "internal/store", "internal/wire/oidc",
	}},

	// The wiring, the demonstration world of `tallystick dev`, and the command.
	"internal/server": {imports: []string{
		"internal/engine", "internal/fetch", "internal/jose", "internal/mail", "internal/oauth", "internal/password", "internal/seal",
		"internal/store", "internal/store/sqlstore", "internal/tally",
		"internal/wire", "internal/wire/demo", "internal/wire/dressipi", "internal/wire/oidc", "internal/wire/userdocks",
	}},
	"internal/dev": {imports: []string{
		"internal/config", "internal/engine", "internal/mail", "internal/oauth", "internal/password", "internal/seal", "internal/seed",
		"internal/server", "internal/store",
		"internal/wire/demo", "internal/wire/dressipi", "internal/wire/oidc", "internal/wire/userdocks",
	}},
	"internal/cli": {imports: []string{
		"internal/config", "internal/dev", "internal/engine", "internal/mail", "internal/seal", "internal/seed", "internal/server", "internal/store",
		"internal/store/sqlstore",
	}},

	// The proof: a model that knows nothing of ours, and what plants mutants.
	"internal/model":         {testOnly: true},
	"internal/model/mutants": {},
	// Real processes, killed and restarted under load; it has tests only.
	"internal/torture": {testOnly: true},

	// What tests build their worlds with may reach for anything.
	"internal/testkit/postgres": {testOnly: true},
	"internal/testkit": {imports: []string{
		"internal/dev", "internal/engine", "internal/jose", "internal/mail", "internal/oauth", "internal/password", "internal/seal", "internal/server",
		"internal/store", "internal/store/sqlstore", "internal/store/storetest", "internal/tally",
		"internal/wire", "internal/wire/demo", "internal/wire/dressipi", "internal/wire/oidc", "internal/wire/userdocks",
	}, testOnly: true},
}

// reserved names imports from outside, with all below them, that only the
// packages beside them may use.
var reserved = map[string][]string{
	// A driver belongs to the backend. storetest wraps one, to make it fail at
	// the n-th statement; testkit counts rows.
	"database/sql":             {"internal/store/sqlstore", "internal/store/storetest", "internal/testkit"},
	"github.com/jackc/pgx":     {"internal/store/sqlstore", "internal/testkit/postgres"},
	"github.com/pressly/goose": {"internal/store/sqlstore"},
	"modernc.org/sqlite":       {"internal/store/sqlstore"},

	"github.com/prometheus":    {"internal/server"},
	"github.com/goccy/go-yaml": {"internal/config"},

	"net/http": {
		"internal/dev", "internal/fetch", "internal/mail", "internal/server", "internal/testkit", "internal/wire", "internal/wire/pages",
		"internal/wire/demo", "internal/wire/dressipi", "internal/wire/oidc", "internal/wire/userdocks",
	},
}
