package config

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write docs/tallystick.yaml")

// The documentation is what the struct says.
func TestExampleIsDocumented(t *testing.T) {
	const path = "../../docs/tallystick.yaml"
	if *update {
		if err := os.WriteFile(path, []byte(Example()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Example(), string(have)); diff != "" {
		t.Errorf("docs/tallystick.yaml (-want +got), go test ./internal/config -update:\n%s", diff)
	}
}

// The example is a file that Load takes, and says what holds without it.
func TestExampleIsTaken(t *testing.T) {
	path := write(t, Example())
	c, err := Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Issuer, want.Database, want.MasterKeyFile = c.Issuer, c.Database, c.MasterKeyFile
	want.TLS.CertFile, want.TLS.KeyFile, want.Metrics.Listen = c.TLS.CertFile, c.TLS.KeyFile, c.Metrics.Listen
	c.Resources, c.Clients, c.TLS.Proxies = nil, nil, nil // they are empty and not nil
	if diff := cmp.Diff(fmt.Sprintf("%+v", want), fmt.Sprintf("%+v", c)); diff != "" {
		t.Errorf("(-default +example)\n%s", diff)
	}
	for name, doc := range comments() {
		if _, ok := strings.CutPrefix(name, "Config."); doc == "" && (!ok || strings.Contains(Example(), "\n"+strings.ToLower(name)+":")) {
			t.Errorf("%s has no comment", name)
		}
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "t.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// least is a file with only what must be there.
const least = `
issuer: https://login.example.com
database: sqlite:/tmp/t.db
master_key_file: /tmp/key
tls: {cert_file: /tmp/c, key_file: /tmp/k}
`

func TestFileThenEnvironment(t *testing.T) {
	secretFile := write(t, "postgres://u:s3cret@db/name\n")
	c, err := Load(write(t, strings.Replace(least, "database: sqlite:/tmp/t.db", "listen: :1", 1)+`
resources: [https://a.example/]
log:
  level: debug
audit:
`), []string{
		"PATH=/bin", "TALLYSTICK_PORT=tcp://10.0.0.1:80", "TALLYSTICK_SERVICE_HOST=x", "TALLYSTICK_LISTEN=",
		"TALLYSTICK_LISTEN=:2", "TALLYSTICK_LOG_FORMAT=text", "TALLYSTICK_DATABASE_FILE=" + secretFile,
		"TALLYSTICK_RESOURCES=https://b.example/,https://c.example/", "TALLYSTICK_AUDIT_RETENTION=30d",
		"TALLYSTICK_REGISTRATION_REQUIRE_PKCE=false", "TALLYSTICK_MASTER_KEY=word", "TALLYSTICK_LIMITS_BIRTHS_PER_NETWORK=0",
	})
	if err != nil {
		t.Fatal(err)
	}
	got := []any{c.Listen, c.Log.Level, c.Log.Format, c.Database.Reveal(), c.Resources, time.Duration(c.Audit.Retention), c.Registration.RequirePKCE, c.MasterKey.Reveal(), c.TLS.CertFile, c.Limits.BirthsPerNetwork}
	want := []any{":2", "debug", "text", "postgres://u:s3cret@db/name", []string{"https://b.example/", "https://c.example/"}, 30 * 24 * time.Hour, false, "word", "/tmp/c", 0}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if text, err := json.Marshal(c); err != nil || strings.Contains(string(text), "s3cret") {
		t.Errorf("JSON shows a secret: %s %v", text, err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if text := fmt.Sprintf(verb, c); strings.Contains(text, "s3cret") || strings.Contains(text, "733363726574") {
			t.Errorf("%s shows a secret: %s", verb, text)
		}
	}
}

// Everything that is wrong is told at once, with its line and key, and no secret.
func TestFaultsOfForm(t *testing.T) {
	for name, tt := range map[string]struct {
		file string
		env  []string
		want []string
	}{
		"unknown keys": {least + "isuer: x\nlog:\n  lvl: info\n  colour: red\n", nil, []string{
			"line 6: isuer: there is no such setting", "line 8: log.lvl: there is no such setting", "line 9: log.colour: there is no such setting"}},
		"twice":           {least + "issuer: https://b.example\n", nil, []string{"line 6: issuer: it is set twice"}},
		"the master key":  {least + "master_key: word-s3cret\n", nil, []string{"line 6: master_key: there is no such setting"}},
		"a minus":         {least + "'-': word-s3cret\n", nil, []string{"line 6: -: there is no such setting"}},
		"types":           {least + "resources: https://s3cret/\nmail: s3cret\nregistration: {require_pkce: s3cret}\nkeys: {rotate_every: s3cret}\nclients: {s3cret: 1}\n", nil, []string{"line 6: resources: want a list of texts", "line 7: want settings", "line 8: registration.require_pkce: want true or false", "line 9: keys.rotate_every: want a time like 90d", "line 10: clients: want a list of texts"}},
		"numbers":         {least + "limits: {births_per_network: s3cret}\n", []string{"TALLYSTICK_LIMITS_BIRTHS_PER_NETWORK=s3cret"}, []string{"line 6: limits.births_per_network: want a number", "TALLYSTICK_LIMITS_BIRTHS_PER_NETWORK: want a number"}},
		"a text":          {"database: [s3cret]\n", nil, []string{"line 1: database: want a text"}},
		"no YAML":         {"issuer: x\ndatabase: s3cret: x\n", nil, []string{": not YAML; a text with"}},
		"a list":          {"- s3cret\n", nil, []string{"line 1: want settings"}},
		"a word":          {"s3cret", nil, []string{"line 1: want settings"}},
		"two documents":   {least + "---\nlisten: s3cret\n", nil, []string{"want one document"}},
		"an alias":        {"issuer: *s3cret\n", nil, []string{"line 1: issuer: want a text"}},
		"the environment": {least, []string{"TALLYSTICK_AUDIT_RETENTION=s3cret", "TALLYSTICK_REGISTRATION_REQUIRE_PKCE=s3cret"}, []string{"TALLYSTICK_AUDIT_RETENTION: want a time like 90d", "TALLYSTICK_REGISTRATION_REQUIRE_PKCE: want true or false"}},
		"a secret twice":  {least + "database_file: /dev/null\n", nil, []string{"database, database_file: want one of the two"}},
		"a secret's file": {"mail: {smtp_file: /nowhere/at-all}\n", nil, []string{"mail.smtp_file: /nowhere/at-all: no such file"}},
	} {
		path := write(t, tt.file)
		_, err := Load(path, tt.env)
		text := fmt.Sprint(err)
		for _, want := range tt.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: got\n%s\nwant %s", name, text, want)
			}
		}
		if got := strings.Count(text, "\n") + 1; got != len(tt.want) {
			t.Errorf("%s: %d faults, want %d:\n%s", name, got, len(tt.want), text)
		}
		if strings.Contains(text, "s3cret") {
			t.Errorf("%s: the secret is shown: %s", name, text)
		}
	}
	if _, err := Load("/nowhere/at-all", nil); err == nil || err.Error() != "/nowhere/at-all: no such file or directory" {
		t.Error(err)
	}
}

func TestCheck(t *testing.T) {
	good := Default()
	good.Issuer, good.Database, good.MasterKeyFile = "https://as.example", "sqlite:/x", "/key"
	good.TLS.CertFile, good.TLS.KeyFile = "/c", "/k"
	behind := func(c *Config) { c.TLS = TLS{Mode: TLSProxy}; c.Listen = "127.0.0.1:80" }
	for name, change := range map[string]func(*Config){
		"as it is":            func(*Config) {},
		"PostgreSQL":          func(c *Config) { c.Database = "postgres://u:p%40@db:5432/t?sslmode=verify-full" },
		"a socket":            func(c *Config) { c.Database = "postgresql:///t?host=/run/postgresql" },
		"the key in a word":   func(c *Config) { c.MasterKeyFile, c.MasterKey = "", "x" },
		"behind a proxy":      behind,
		"a private address":   func(c *Config) { behind(c); c.Listen = "10.1.2.3:80"; c.TLS.Proxies = []string{"10.0.0.0/8", "::1"} },
		"mail":                func(c *Config) { c.Mail = Mail{SMTP: "smtp://u:p@mail.example", From: "A <a@b.example>"} },
		"registration":        func(c *Config) { c.Registration.Mode = "open" },
		"no notice":           func(c *Config) { c.ShutdownNotice = 0 },
		"an issuer for trial": func(c *Config) { c.Issuer = "http://127.0.0.1:8080" },
	} {
		c := good
		change(&c)
		if err := c.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, tt := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no issuer":            {func(c *Config) { c.Issuer = "" }, "issuer: want a URL"},
		"a plain issuer":       {func(c *Config) { c.Issuer = "http://as.example" }, "issuer: want"},
		"an issuer's path":     {func(c *Config) { c.Issuer = "https://as.example/" }, "issuer: want scheme, host and port only"},
		"no port":              {func(c *Config) { c.Listen = "as.example" }, "listen: want HOST:PORT"},
		"a port by name":       {func(c *Config) { c.Listen = ":https" }, "listen: want a port"},
		"no database":          {func(c *Config) { c.Database = "" }, "database: want sqlite:PATH or postgres://"},
		"a bare path":          {func(c *Config) { c.Database = "/s3cret" }, "database: want sqlite:PATH or postgres://"},
		"another database":     {func(c *Config) { c.Database = "mysql://u:s3cret@db/x" }, "database: want sqlite:PATH or postgres://"},
		"a raw password":       {func(c *Config) { c.Database = "postgres://u:s3cret%@db/x" }, "database: want sqlite:PATH or postgres://"},
		"no master key":        {func(c *Config) { c.MasterKeyFile = "" }, "master_key_file: want a file"},
		"resources":            {func(c *Config) { c.Resources = []string{"x"} }, "resources: "},
		"a long farewell":      {func(c *Config) { c.ShutdownNotice = Duration(time.Hour) }, "shutdown_notice: want at most 1m"},
		"no TLS":               {func(c *Config) { c.TLS.KeyFile = "" }, "tls.cert_file, tls.key_file: want both, or the mode proxy"},
		"another TLS":          {func(c *Config) { c.TLS.Mode = "off" }, `tls.mode: want files or proxy, got "off"`},
		"a proxy and files":    {func(c *Config) { c.TLS.Mode, c.Listen = TLSProxy, "127.0.0.1:80" }, "tls.cert_file, tls.key_file: are for the mode files"},
		"plain to everybody":   {func(c *Config) { behind(c); c.Listen = ":80" }, "listen: behind a proxy want a loopback or private address"},
		"plain to the world":   {func(c *Config) { behind(c); c.Listen = "203.0.113.7:80" }, "listen: behind a proxy want"},
		"proxies without mode": {func(c *Config) { c.TLS.Proxies = []string{"10.0.0.1"} }, "tls.proxies: are for the mode proxy"},
		"proxies":              {func(c *Config) { behind(c); c.TLS.Proxies = []string{"lb.example"} }, "tls.proxies: want addresses like"},
		"mail without sender":  {func(c *Config) { c.Mail.SMTP = "smtp://u:s3cret@mail.example" }, "mail.smtp, mail.from: the sender"},
		"no mail server":       {func(c *Config) { c.Mail.SMTP = "s3cret" }, "mail.smtp, mail.from: want smtp://"},
		"registration":         {func(c *Config) { c.Registration.Mode = "all" }, `registration.mode: want closed, token or open, got "all"`},
		"metrics":              {func(c *Config) { c.Metrics.Listen = "x" }, "metrics.listen: want HOST:PORT"},
		"log format":           {func(c *Config) { c.Log.Format = "xml" }, "log.format: want json or text"},
		"log level":            {func(c *Config) { c.Log.Level = "loud" }, "log.level: want debug, info, warn or error"},
		"retention":            {func(c *Config) { c.Audit.Retention = 0 }, "audit.retention: want at least 1d"},
		"a limit":              {func(c *Config) { c.Limits.BirthsPerNetwork = -1 }, "limits.births_per_network: want a number"},
		"rotation":             {func(c *Config) { c.Keys.RotateEvery = 5 }, "keys.rotate_every: want at least 1d"},
	} {
		c := good
		tt.change(&c)
		err := c.Check()
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
	all := Config{}
	if err := all.Check(); err == nil || strings.Count(err.Error(), "\n")+1 != 10 {
		t.Errorf("want all ten faults, got\n%v", err)
	}
}

func TestDuration(t *testing.T) {
	for _, s := range []string{"90d", "1m30s", "12h0m0s", "0s"} {
		var d Duration
		if err := d.UnmarshalText([]byte(s)); err != nil {
			t.Errorf("%s: %v", s, err)
		}
		if text, _ := d.MarshalText(); string(text) != s {
			t.Errorf("%s became %s", s, text)
		}
	}
	for _, s := range []string{"", "5", "d", "-1s", "1.5d", "-1d", "99999d", "1d12h", "day"} {
		var d Duration
		if err := d.UnmarshalText([]byte(s)); err == nil {
			t.Errorf("%q was taken as %v", s, time.Duration(d))
		}
	}
}
