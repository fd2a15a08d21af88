package oidc_test

import "testing"

// TestConformanceFormPost is oidcc-formpost-basic-certification-test-plan: the
// modules of the basic plan, with response_mode=form_post in every request.
func TestConformanceFormPost(t *testing.T) {
	newPlan(t, "client_secret_basic", "form_post").run(t, basicModules)
}
