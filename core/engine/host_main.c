/* SPDX-License-Identifier: BSD-3-Clause
 * host_main.c - tsnet-host: run a command with a tailnet node as its parent
 *
 *   tsnet-host [--] COMMAND [ARG]...      (settings come by the environment)
 *   tsnet-host --proxy [--] COMMAND [ARG]...   with a proxy in its environment
 *   tsnet-host --check COMMAND [in-process]   can it be carried? or why not
 *   tsnet-host --notify -- PATH ARGV0 [ARG]...   one that cannot (static, Go)
 *   tsnet-host --notify-open -- PATH ARGV0 [ARG]...   /proc/self/fd/N, closed then
 *   tsnet-host --cli status|ip|ping|capture|doctor...  ask a node (cli.c)
 *
 * The node lives in this process, so it survives fork, exec, daemon() and
 * crashes of the program, and keys never enter the program's memory. The
 * command's exit status is ours; signals sent to us go to it; orphans of the
 * tree are reaped, as PID 1 must.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/base/log.h"
#include "core/engine/cli.h"
#include "core/engine/config_load.h"
#include "core/engine/engine.h"
#include "core/engine/login_notice.h"
#include "core/engine/notify_exec.h"
#include "core/engine/preload_check.h"
#include "core/engine/process_tree.h"
#include "core/host/proxy.h"

enum { EXIT_USAGE = 64, EXIT_FAILED = 125, EXIT_CANNOT_RUN = 126,
       EXIT_NOT_FOUND = 127 };

struct run {
	struct ts_engine *engine;
	struct process_tree *tree;
	char **argv;
	struct ts_timer *wait_timer;
	unsigned wait_s;
	bool follow_exec;
	int exit_status;
	bool started, wants_proxy, login_qr;
};

static void on_tree_ended(void *ctx, int exit_status)
{
	struct run *run = ctx;

	run->exit_status = exit_status;
	ts_engine_stop(run->engine);
}

/* false: none. */
static bool open_proxy(struct run *run, char *where, size_t cap)
{
	struct ts_proxy_access access;
	char at[TS_ADDR_TEXT_CAP];

	if (!run->wants_proxy ||
	    ts_engine_open_proxy(run->engine, false, &access))
		return false;
	snprintf(where, cap, "%s:%s@%s", access.user, access.password,
		 ts_addr_format(&access.at, at));
	return true;
}

static bool wants_exit(const struct ts_engine *engine)
{
	for (; engine; engine = ts_engine_next(engine))
		if (ts_route_prefs_want_exit(
			    &ts_node_prefs(ts_engine_node(engine))->routes))
			return true;
	return false;
}

static bool are_up(const struct ts_engine *engine)
{
	for (; engine; engine = ts_engine_next(engine))
		if (ts_node_state(ts_engine_node(engine)) != TS_RUNNING)
			return false;
	return true;
}

/* NAME=PATH:NAME=PATH, heap; NULL: of one node. */
static char *list_localapis(const struct ts_engine *engine)
{
	char *list = NULL, *longer;

	if (!ts_engine_next(engine))
		return NULL;
	for (; engine; engine = ts_engine_next(engine)) {
		if (asprintf(&longer, "%s%s%s=%s", list ? list : "",
			     list ? ":" : "", ts_engine_name(engine),
			     ts_engine_localapi_path(engine)) < 0)
			break;
		free(list);
		list = longer;
	}
	return list;
}

static void start_command(struct run *run)
{
	struct process_env env = {
		.broker_path = ts_engine_broker_path(run->engine),
		.broker_abstract = ts_engine_broker_abstract(run->engine),
		.localapi_path = ts_engine_localapi_path(run->engine),
		.has_notify = notify_exec_probe() == 0,
		.follow_exec = run->follow_exec,
		.has_exit_node = wants_exit(run->engine),
	};
	char err[256], where[128];
	char *localapis;

	if (run->started)
		return;
	run->started = true;
	env.localapis = localapis = list_localapis(run->engine);
	if (open_proxy(run, where, sizeof(where)))
		env.proxy = where;
	if (run->wait_timer)
		ts_timer_set(run->wait_timer, UINT64_MAX);
	run->tree = process_tree_start(ts_engine_loop(run->engine), run->argv,
				       &env, on_tree_ended, run,
				       &run->exit_status, err);
	free(localapis);
	if (!run->tree) {
		fprintf(stderr, "tsrun: %s\n", err);
		ts_engine_stop(run->engine);
	}
}

static void tell_approval(const struct ts_engine *engine,
			  char out[static LOGIN_NOTICE_CAP])
{
	login_notice_approval(ts_node_control_url(ts_engine_node(engine)), out);
}

/* The command is not run. */
static void give_up(struct run *run)
{
	run->started = true;
	run->exit_status = EXIT_FAILED;
	ts_engine_stop(run->engine);
}

static void tell_not_up(const struct run *run, const struct ts_engine *engine)
{
	const struct ts_node *node = ts_engine_node(engine);
	const char *name = ts_engine_name(engine);
	const char *why = ts_node_error(node);
	char approval[LOGIN_NOTICE_CAP];

	if (ts_node_state(node) == TS_NEEDS_MACHINE_AUTH) {
		tell_approval(engine, approval);
		why = approval;
	}
	fprintf(stderr, "tsrun: the node %s%sis not up after %u s (%s)%s%s\n",
		name ? name : "", name ? " " : "", run->wait_s,
		ts_node_state_name(ts_node_state(node)), why ? ": " : "",
		why ? why : "");
}

static void on_wait_over(void *ctx)
{
	struct run *run = ctx;

	if (run->started)
		return;
	for (const struct ts_engine *e = run->engine; e; e = ts_engine_next(e))
		if (ts_node_state(ts_engine_node(e)) != TS_RUNNING)
			tell_not_up(run, e);
	give_up(run);
}

static void tell_approvals(const struct run *run)
{
	char approval[LOGIN_NOTICE_CAP];

	for (const struct ts_engine *e = run->engine; e;
	     e = ts_engine_next(e)) {
		if (ts_node_state(ts_engine_node(e)) != TS_NEEDS_MACHINE_AUTH)
			continue;
		tell_approval(e, approval);
		fprintf(stderr, "tsrun: %s\n", approval);
	}
}

/* As tsnet's Up(): who was refused will hardly be let in by waiting. */
static void tell_refused(struct run *run, const char *error)
{
	const char *advice = login_notice_advice(run->engine);
	const char *sign = *advice ? "; " : "";

	if (run->wait_s == 0 || run->started) {
		log_error("the node cannot log in: %s%s%s", error, sign,
			  advice);
		return;
	}
	fprintf(stderr, "tsrun: the node cannot log in: %s%s%s\n", error, sign,
		advice);
	give_up(run);
}

static void on_state(void *ctx, enum ts_node_state state, const char *error,
		     const char *url)
{
	struct run *run = ctx;

	if (url && ts_log_get_level() < TS_LOG_WARN)
		fprintf(stderr, "tsrun: to join the tailnet, visit %s\n", url);
	if (url && run->login_qr)
		login_notice_draw(stderr, url);
	if (state == TS_NEEDS_MACHINE_AUTH && !url &&
	    ts_log_get_level() < TS_LOG_WARN)
		tell_approvals(run);
	if (error && state == TS_NEEDS_LOGIN)
		tell_refused(run, error);
	else if (error)
		log_error("%s", error);
	if (run->wait_s > 0 && are_up(run->engine))
		start_command(run);
}

static void begin(void *ctx)
{
	struct run *run = ctx;

	if (run->wait_s == 0 || are_up(run->engine)) {
		start_command(run);
		return;
	}
	run->wait_timer = ts_timer_new(ts_engine_loop(run->engine),
				       on_wait_over, run);
	ts_timer_set(run->wait_timer,
		     ts_loop_now_ms(ts_engine_loop(run->engine)) +
			     1000ull * run->wait_s);
}

/* Keys are in this process's memory: no core dump, no ptrace by others. */
static void protect_secrets(void)
{
	struct rlimit none = {0, 0};

	prctl(PR_SET_DUMPABLE, 0);
	setrlimit(RLIMIT_CORE, &none);
}

/* Carried by seccomp notifications: started through our own --notify. NULL:
 * it is not, err says why. */
static char **notified_argv(int argc, char **argv, char err[static 256])
{
	static char self[512];
	char **out = calloc((size_t)argc + 5, sizeof(*out));
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int code = notify_exec_probe();

	if (code || len < 0 || !out) {
		size_t at = strlen(err);

		snprintf(err + at, 256 - at,
			 "; seccomp notifications, which could serve it, are "
			 "not available (%s); \"tsrun --proxy\" offers it a "
			 "proxy", ts_strerror(code ? code : -ENOMEM));
		free(out);
		return NULL;
	}
	out[0] = self;
	out[1] = (char *)(uintptr_t)"--notify";
	out[2] = (char *)(uintptr_t)"--";
	out[3] = argv[0];
	memcpy(out + 4, argv, (size_t)argc * sizeof(*out));
	return out;
}

/* What to exec for argv; NULL: *exit_status, after a line on stderr. */
static char **choose_way(int argc, char **argv, bool has_proxy,
			 int *exit_status)
{
	char err[256] = "";
	int code = preload_check(argv[0], err);
	char **way = code == 0 ? argv : NULL;

	if (code == -ENOTSUP && !has_proxy)
		way = notified_argv(argc, argv, err);
	/* Whatever it is, it can use the proxy, if it knows of proxies. */
	if ((code == -ENOTSUP || code == -ENOEXEC) && has_proxy)
		way = argv;
	if (!way)
		fprintf(stderr, "tsrun: %s\n", err);
	*exit_status = code == -ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
	return way;
}

static int run_command(int argc, char **argv, bool wants_proxy)
{
	struct run run = {.exit_status = EXIT_FAILED,
			  .wants_proxy = wants_proxy};
	struct ts_config config;
	char err[256] = "";
	int code;

	run.argv = choose_way(argc, argv, wants_proxy, &code);
	if (!run.argv)
		return code;
	process_remember_inheritance();
	protect_secrets();
	if (config_load_from_environment(&config, err)) {
		fprintf(stderr, "tsrun: %s\n", err);
		return EXIT_FAILED;
	}
	process_scrub_environment();
	for (const struct ts_config *c = &config; c; c = c->next)
		for (size_t i = 0; i < c->secret_variable_count; i++)
			process_scrub_variable(c->secret_variables[i]);
	run.wait_s = config.wait_s;
	run.follow_exec = config.follow_exec;
	run.login_qr = config.login_qr;
	if (ts_engine_open(&run.engine, &config, TS_ENGINE_ALONE,
			   err)) {
		fprintf(stderr, "tsrun: %s\n", err);
		ts_config_deinit(&config);
		return EXIT_FAILED;
	}
	ts_engine_watch_state(run.engine, on_state, &run);
	if (ts_loop_post(ts_engine_loop(run.engine), begin, &run) == 0)
		ts_engine_run(run.engine);
	ts_timer_free(run.wait_timer);
	process_tree_free(run.tree);
	ts_engine_close(run.engine);
	if (run.argv != argv)
		free(run.argv);
	return run.exit_status;
}

/* A node inside the program cannot serve the calls of that very program. */
static int check(const char *program, bool is_in_process)
{
	char err[256];
	int code = preload_check(program, err);

	if (code == -ENOTSUP && !is_in_process && notify_exec_probe() == 0) {
		printf("%s: cannot be preloaded, is served by seccomp "
		       "notifications\n", program);
		return 0;
	}
	if (code) {
		fprintf(stderr, "tsrun: %s\n", err);
		return 1;
	}
	printf("%s: can be preloaded\n", program);
	return 0;
}

int main(int argc, char **argv)
{
	bool wants_proxy = argc > 1 && strcmp(argv[1], "--proxy") == 0;
	int first = wants_proxy ? 2 : 1;

	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		puts("tsrun " TSNET_VERSION);
		return 0;
	}
	if (argc > 2 && strcmp(argv[1], "--check") == 0)
		return check(argv[2], argc > 3);
	if (argc > 2 && strcmp(argv[1], "--cli") == 0)
		return cli_main(argc - 2, argv + 2);
	if (argc > 1 && (strcmp(argv[1], "--notify") == 0 ||
			 strcmp(argv[1], "--notify-open") == 0)) {
		first = argc > 2 && strcmp(argv[2], "--") == 0 ? 3 : 2;
		return notify_exec_main(argc - first, argv + first,
					strlen(argv[1]) > strlen("--notify"));
	}
	if (argc > first && strcmp(argv[first], "--") == 0)
		first++;
	if (argc <= first) {
		fprintf(stderr, "usage: tsnet-host [--proxy] [--] COMMAND [ARG]...\n");
		return EXIT_USAGE;
	}
	return run_command(argc - first, argv + first, wants_proxy);
}
