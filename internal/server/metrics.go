package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tallystick/tallystick/internal/store"
	"github.com/tallystick/tallystick/internal/store/sqlstore"
	"github.com/tallystick/tallystick/internal/wire"
)

// metrics count for Prometheus. A label's values are ours, and few: faces, routes,
// grant types, outcomes and error codes, never what a client has written.
type metrics struct {
	registry  *prometheus.Registry
	exchanges *prometheus.CounterVec
	refusals  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	replays   *prometheus.CounterVec
	ahead     *prometheus.CounterVec
}

func newMetrics(db *sqlstore.DB, st *sqlstore.Store) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		registry:  prometheus.NewRegistry(),
		exchanges: counter("tallystick_exchanges_total", "Exchanges that were answered with tokens.", "face", "grant_type", "outcome"),
		refusals:  counter("tallystick_refusals_total", "Requests that were refused or failed, by error code.", "face", "error"),
		replays:   counter("tallystick_replays_total", "Proven second uses of a code or a refresh token.", "face"),
		ahead:     counter("tallystick_ahead_total", "Tokens newer than the database: it has lost commits.", "face"),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tallystick_request_duration_seconds", Help: "Time to the answer.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"face", "endpoint"}),
	}
	gauge := func(name, help string, of func(sqlstore.Load) int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(of(db.Load())) })
	}
	m.registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.exchanges, m.refusals, m.replays, m.ahead, m.durations,
		gauge("tallystick_store_waiting", "Intents that wait for the writer of a SQLite file.", func(l sqlstore.Load) int { return l.Waiting }),
		gauge("tallystick_store_connections_busy", "Database connections in use.", func(l sqlstore.Load) int { return l.Busy }),
		gauge("tallystick_store_connections_max", "Database connections that this node can have.", func(l sqlstore.Load) int { return l.Connections }),
		&backlog{
			of:      st.Backlog,
			mails:   prometheus.NewDesc("tallystick_mails_pending", "Mails that are neither sent nor given up.", nil, nil),
			notices: prometheus.NewDesc("tallystick_notices_pending", "Logouts that clients are still to be told of.", nil, nil),
		},
	)
	return m
}

// seen counts a request.
func (m *metrics) seen(a wire.Answered) {
	m.durations.WithLabelValues(a.Face, a.Endpoint).Observe(a.Took.Seconds())
	if a.Event.Outcome != "" {
		m.exchanges.WithLabelValues(a.Face, a.Event.GrantType, a.Event.Outcome).Inc()
		if a.Event.Outcome == store.Ahead.String() {
			m.ahead.WithLabelValues(a.Face).Inc()
		}
	}
	if a.Refusal == nil {
		return
	}
	m.refusals.WithLabelValues(a.Face, string(a.Refusal.Code)).Inc()
	// The engine's reason of a refusal ends with the store's outcome.
	if strings.HasSuffix(a.Refusal.Reason, ": "+store.Replayed.String()) {
		m.replays.WithLabelValues(a.Face).Inc()
	}
}

func (m *metrics) handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		// What the database cannot tell now is missing from the answer, and no more.
		ErrorHandling: promhttp.ContinueOnError,
		// One scraper is usual; many must not add to the load.
		MaxRequestsInFlight: 4,
	})
}

// backlog asks the database when somebody asks for metrics.
type backlog struct {
	of             func(context.Context) (sqlstore.Backlog, error)
	mails, notices *prometheus.Desc
}

func (b *backlog) Describe(to chan<- *prometheus.Desc) { to <- b.mails; to <- b.notices }

func (b *backlog) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), probePatience)
	defer cancel()
	n, err := b.of(ctx)
	if err != nil {
		to <- prometheus.NewInvalidMetric(b.mails, err)
		return
	}
	to <- prometheus.MustNewConstMetric(b.mails, prometheus.GaugeValue, float64(n.Mails))
	to <- prometheus.MustNewConstMetric(b.notices, prometheus.GaugeValue, float64(n.Notices))
}

// ServeMetrics answers /metrics on a listener of its own until ctx is done.
func (s *Server) ServeMetrics(ctx context.Context, l net.Listener) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.Metrics)
	hs := &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	defer context.AfterFunc(ctx, func() { _ = hs.Close() })()
	if err := hs.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
