// Package arch holds the architecture as a table, which package may import
// which, and the test that holds the tree to it. The engine stays free of HTTP
// and SQL, faces stay strangers to each other and to the store, and one package
// names a database driver, because anything else fails the build here.
package arch
