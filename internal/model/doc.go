// Package model is the life of one grant as a state machine, small enough to visit
// every state of it. It is written from the promises and from what package store
// says of Redeem and Rotate, and imports nothing, so that it can be wrong only in
// its own way.
//
// # What happens
//
// An exchange is what a node does with one code or refresh token, step by step:
//
//	begun    the node has checked all that needs no row, and taken the time
//	written  its conditional write has matched: the row is locked, nothing is durable
//	missed   it has matched nothing; a look at the durable row tells why
//	due      from the look another conditional write follows (an end, an extension, a
//	         rotation that is ahead), which may match nothing again
//	settled  the commit has returned, or there was nothing to write: the answer is due
//
// Between any two steps of one node anything else may happen. A write whose row is
// locked waits; a look sees what is durable. That is READ COMMITTED with row locks;
// what a single writer does is among it.
//
// # Who acts
//
// Nodes are two, equal, with one exchange each at a time. A node may die at any
// moment: before its commit nothing has happened, after it the answer is lost. One
// may learn of a new MAC key before the other, and its clock may be behind.
//
// The owner is a correct client. He redeems his code once. He presents his newest
// token, to any node, also to both at once. He presents it again while he has no
// answer, and with a window that ends only inside it, counted from the first time he
// sent it, less what the clocks may differ by. He does not present a successor
// while a node still has an older request of his.
//
// The thief copies the code at any moment, with or without what proves it, and the
// owner's newest token as often as the scenario lets him; he keeps all that he is
// answered and presents any of it, to any node, at any time, as the owner's client.
//
// A stranger is another client, or has a wrong verifier: he tries what he has found.
//
// The operator revokes the grant, copies the database and restores the copy, once.
// Time passes in ticks; it is bounded, as generations are.
//
// # What must hold
//
// The promises are held against what was committed and answered (past), not against
// the row: see promises.go. Broken rules (Flaw) show that they bite.
package model
