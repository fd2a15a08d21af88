// Package torture is tests only: real processes of the command, on SQLite and on
// PostgreSQL, are killed, restarted, cut off from their database and filled up while
// clients use them. What a client was told must be true afterwards.
//
// go test runs a short form of each experiment, `make torture` the long one, which
// prints the table of docs/reliability.md.
package torture
