package model

// The clients: one for each policy, and for each kind of code.
var (
	// web keeps a window of 30 s, here two ticks, and ends what is replayed.
	web = Terms{CodeEnd: 3, IdleLife: 3, Rotating: true, Window: 2, EndOnReplay: true}
	// strict has no window.
	strict = Terms{CodeEnd: 3, IdleLife: 3, Rotating: true, EndOnReplay: true}
	// shop is of the anonymous class: its window has no end, and it only refuses.
	shop = Terms{CodeEnd: 3, IdleLife: 3, Rotating: true, UntilUsed: true, Anonymous: true}
	// patient has a window without end, and ends what is replayed.
	patient = Terms{CodeEnd: 3, AbsoluteEnd: 4, Rotating: true, UntilUsed: true, EndOnReplay: true}
	// service does not rotate.
	service = Terms{CodeEnd: 3, IdleLife: 3, EndOnReplay: true}
)

// Scenarios are what is explored.
var Scenarios = []Scenario{
	// Nobody does wrong, and everything goes wrong.
	{Name: "web", Terms: web, Challenge: true, Crashes: true, Foreign: true, Revocation: true, Now: 5, Generations: 5},
	{Name: "strict", Terms: strict, Challenge: true, Crashes: true, Foreign: true, Revocation: true, Now: 5, Generations: 5},
	{Name: "shop", Terms: shop, Challenge: true, Crashes: true, Foreign: true, Revocation: true, Now: 5, Generations: 5},
	{Name: "patient", Terms: patient, Challenge: true, Crashes: true, Foreign: true, Revocation: true, Now: 5, Generations: 5},
	{Name: "service", Terms: service, Challenge: true, Crashes: true, Foreign: true, Revocation: true, NewKey: true, Now: 5, Generations: 4},
	{Name: "web, new MAC key", Terms: web, Challenge: true, Crashes: true, NewKey: true, Now: 4, Generations: 4},
	{Name: "web, clocks differ", Terms: web, Challenge: true, Crashes: true, Skew: 1, Now: 5, Generations: 4},
	{Name: "web, restored copy", Terms: web, Challenge: true, Crashes: true, Restore: true, Now: 4, Generations: 4},
	{Name: "shop, restored copy", Terms: shop, Challenge: true, Crashes: true, Restore: true, Now: 4, Generations: 4},
	{Name: "service, restored copy", Terms: service, Challenge: true, Crashes: true, Restore: true, NewKey: true, Now: 4, Generations: 3},

	// A thief.
	{Name: "web, code stolen", Terms: web, Challenge: true, Crashes: true, Foreign: true, CodeStolen: true, Now: 4, Generations: 3},
	{Name: "web, code and verifier stolen", Terms: web, Challenge: true, Crashes: true, CodeStolen: true, ProofStolen: true, Now: 4, Generations: 3},
	{Name: "web, no challenge, code stolen", Terms: web, Crashes: true, CodeStolen: true, Now: 4, Generations: 3},
	{Name: "web, token stolen", Terms: web, Challenge: true, Crashes: true, Thefts: 1, Now: 4, Generations: 4},
	{Name: "strict, all stolen", Terms: strict, Challenge: true, Crashes: true, CodeStolen: true, ProofStolen: true, Thefts: 1, Now: 4, Generations: 3},
	{Name: "shop, all stolen", Terms: shop, Challenge: true, Crashes: true, CodeStolen: true, ProofStolen: true, Thefts: 1, Now: 4, Generations: 3},
	{Name: "patient, token stolen twice", Terms: patient, Challenge: true, Crashes: true, Thefts: 2, Now: 4, Generations: 4},
	{Name: "service, token stolen", Terms: service, Challenge: true, Crashes: true, Thefts: 1, NewKey: true, Now: 4, Generations: 3},
	{Name: "web, token stolen, restored copy", Terms: web, Challenge: true, Thefts: 2, Restore: true, Now: 2, Generations: 4},
	{Name: "web, all stolen, revoked", Terms: web, Challenge: true, CodeStolen: true, ProofStolen: true, Thefts: 1, Revocation: true, Now: 3, Generations: 3},
}
