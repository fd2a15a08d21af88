package demo

// The paths of the demo relying parties of the standard face.
const (
	AppPath     = "/dev/app"
	AppCallback = "/dev/app/callback"
	AppLogout   = "/dev/app/backchannel-logout"
	SPAPath     = "/dev/spa"
	SPACallback = "/dev/spa/callback"
)
