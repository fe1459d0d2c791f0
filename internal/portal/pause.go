package portal

import (
	"fanfare/internal/webhook"
	"net/http"
	"strconv"
	"strings"
)

// pauseEndpoint has the endpoint hold what is for it.
func (p *Portal) pauseEndpoint(v *visit) error {
	return v.change("paused", func(e *webhook.Endpoint) error {
		e.Paused = true
		return nil
	})
}

type resumeView struct {
	askView
	// Rate is what the form holds, Problem what is wrong with it.
	Rate, Problem string
}

// resumePage asks how fast what was held is to be released.
func (p *Portal) resumePage(v *visit) error { return v.showResume(http.StatusOK, "", "") }

func (v *visit) showResume(status int, rate, problem string) error {
	ask, err := v.asking("Resume endpoint")
	if err != nil {
		return err
	}
	if rate == "" && problem == "" && ask.Endpoint.ReleaseRate > 0 {
		rate = strconv.Itoa(ask.Endpoint.ReleaseRate)
	}
	return v.show(status, "endpoint_resume.html", resumeView{askView: ask, Rate: rate, Problem: problem})
}

func (p *Portal) resumeEndpoint(v *visit) error {
	if err := v.ParseForm(); err != nil {
		return err
	}
	rate, given := 0, strings.TrimSpace(v.PostFormValue("rate"))
	if given != "" {
		var err error
		if rate, err = strconv.Atoi(given); err != nil || rate < 1 || rate > webhook.MaxThrottle {
			return v.showResume(http.StatusUnprocessableEntity, given, "The rate is a whole number from 1 to 65,535, or empty for no limit.")
		}
	}
	return v.change("resumed", func(e *webhook.Endpoint) error {
		e.Paused, e.ReleaseRate = false, rate
		return nil
	})
}
