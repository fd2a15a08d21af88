package oauth

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestErrorsHaveTwoAudiences(t *testing.T) {
	refused := Refuse(InvalidGrant, "code: spent", "The code is not valid.")
	if got := AsError(fmt.Errorf("exchange: %w", refused)); got != refused {
		t.Errorf("a wrapped refusal became %v", got)
	}
	if refused.Fault() {
		t.Error("a refusal is no fault")
	}
	cause := errors.New("disk: secret path")
	fault := AsError(cause)
	if fault.Code != ServerError || !fault.Fault() || !errors.Is(fault, cause) || strings.Contains(fault.Description, "disk") {
		t.Errorf("a fault became %+v", fault)
	}
	u := Unavailable("store", cause)
	if u.Code != TemporarilyUnavailable || !u.Fault() || u.RetryAfter <= 0 || strings.Contains(u.Description, "disk") {
		t.Errorf("a passing fault became %+v", u)
	}
}
