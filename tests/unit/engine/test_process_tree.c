/* SPDX-License-Identifier: BSD-3-Clause
 * test_process_tree.c - the exit status of what tsrun runs, signals passed on,
 *                       descendants waited for, secrets kept from it
 *
 * Each command runs under a process of its own that plays tsrun; it tells by a
 * pipe how it ended.
 */
#include "unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/engine/process_tree.h"

struct outcome {
	int exit_status;
	bool could_start;
	char err[256];
};

struct runner {
	pid_t pid;
	int fd;	    /* the outcome */
	int out_fd; /* what the command printed */
};

static const struct process_env env = {
	.broker_path = "/run/broker.sock",
	.broker_abstract = "abstract-name",
	.localapi_path = "/run/localapi.sock",
	.follow_exec = true,
};

static struct ts_loop *loop;

static void on_end(void *ctx, int exit_status)
{
	struct outcome *outcome = ctx;

	outcome->exit_status = exit_status;
	ts_loop_stop(loop);
}

static void play_tsrun(char **argv, int fd)
{
	struct outcome outcome = {0};
	struct process_tree *tree;

	setenv("TSNET_SHIM_LIBRARY", "", 1);
	setenv("TS_AUTHKEY", "tskey-secret", 1);
	setenv("TSNET_HOSTNAME", "x", 1);
	setenv("TSNET_NODE", "db", 1);
	setenv("TSNET_NODES", "web,db", 1);
	process_scrub_environment();
	setenv("TSNET_SHIM_LIBRARY", "", 1);
	process_remember_inheritance();
	loop = ts_loop_new();
	tree = process_tree_start(loop, argv, &env, on_end, &outcome,
				  &outcome.exit_status, outcome.err);
	outcome.could_start = tree != NULL;
	if (tree)
		ts_loop_run(loop);
	if (write(fd, &outcome, sizeof(outcome)) != sizeof(outcome))
		_exit(1);
	_exit(0);
}

static struct runner start(char **argv)
{
	struct runner r;
	int fds[2], out[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(pipe(out), 0);
	fflush(stdout);
	r.pid = fork();
	if (r.pid == 0) {
		dup2(out[1], STDOUT_FILENO);
		close(out[0]);
		close(out[1]);
		close(fds[0]);
		fcntl(fds[1], F_SETFD, FD_CLOEXEC);
		play_tsrun(argv, fds[1]);
	}
	close(fds[1]);
	close(out[1]);
	r.fd = fds[0];
	r.out_fd = out[0];
	return r;
}

/* Blocks until the command has printed something. */
static void await_output(const struct runner *r, char *text, size_t cap)
{
	ssize_t n = read(r->out_fd, text, cap - 1);

	assert_true(n > 0);
	text[n] = '\0';
}

static struct outcome finish(const struct runner *r)
{
	struct outcome outcome;
	int status;

	assert_int_equal(read(r->fd, &outcome, sizeof(outcome)),
			 sizeof(outcome));
	assert_int_equal(waitpid(r->pid, &status, 0), r->pid);
	close(r->fd);
	close(r->out_fd);
	return outcome;
}

static struct outcome run_shell(const char *script)
{
	char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, NULL, NULL};
	struct runner r;

	argv[2] = (char *)(uintptr_t)script;
	r = start(argv);
	return finish(&r);
}

static void test_exit_codes(void **state)
{
	(void)state;
	assert_int_equal(run_shell("exit 0").exit_status, 0);
	assert_int_equal(run_shell("exit 7").exit_status, 7);
	assert_int_equal(run_shell("exit 255").exit_status, 255);
	assert_int_equal(run_shell("kill -KILL $$").exit_status, 137);
	assert_int_equal(run_shell("kill -TERM $$").exit_status, 143);
	assert_int_equal(run_shell("kill -SEGV $$").exit_status, 139);
}

static void test_cannot_start(void **state)
{
	char *missing[] = {(char[]){"/no/such/program"}, NULL};
	char *directory[] = {(char[]){"/tmp"}, NULL};
	struct runner r = start(missing);
	struct outcome outcome = finish(&r);

	(void)state;
	assert_false(outcome.could_start);
	assert_int_equal(outcome.exit_status, 127);
	assert_non_null(strstr(outcome.err, "/no/such/program"));
	r = start(directory);
	outcome = finish(&r);
	assert_false(outcome.could_start);
	assert_int_equal(outcome.exit_status, 126);
}

static void test_signals_are_passed_on(void **state)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1,
				      SIGQUIT};

	(void)state;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		char script[256], text[64];
		char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, script, NULL};
		struct runner r;

		snprintf(script, sizeof(script),
			 "trap 'exit %d' %d; echo up; while :; do sleep 0.01; "
			 "done", 40 + (int)i, signals[i]);
		r = start(argv);
		await_output(&r, text, sizeof(text));
		kill(r.pid, signals[i]);
		assert_int_equal(finish(&r).exit_status, 40 + (int)i);
	}
}

/* A daemon keeps its node: the end comes with the last descendant, the status
 * is the command's. */
static void test_waits_for_descendants(void **state)
{
	char *argv[] = {(char[]){"sh"}, (char[]){"-c"},
			/* fd 3: a background job's own stdin is empty */
			(char[]){"exec 3<&0; (trap '' HUP; read x <&3; "
				 "echo late) & echo early; exit 5"},
			NULL};
	char text[64];
	int in[2], saved = dup(STDIN_FILENO);
	struct runner r;

	(void)state;
	assert_int_equal(pipe(in), 0);
	dup2(in[0], STDIN_FILENO);
	fcntl(in[1], F_SETFD, FD_CLOEXEC);
	r = start(argv);
	dup2(saved, STDIN_FILENO);
	close(saved);
	close(in[0]);
	await_output(&r, text, sizeof(text));
	assert_string_equal(text, "early\n");
	/* The command is gone, the descendant waits for us. */
	assert_int_equal(waitpid(r.pid, NULL, WNOHANG), 0);
	assert_int_equal(write(in[1], "\n", 1), 1);
	close(in[1]);
	await_output(&r, text, sizeof(text));
	assert_string_equal(text, "late\n");
	assert_int_equal(finish(&r).exit_status, 5);
}

static void test_environment(void **state)
{
	char *argv[] = {(char[]){"env"}, NULL};
	char text[16384];
	size_t len = 0;
	ssize_t n;
	struct runner r = start(argv);

	(void)state;
	while ((n = read(r.out_fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	assert_int_equal(finish(&r).exit_status, 0);
	assert_non_null(strstr(text, "TSNET_BROKER=/run/broker.sock\n"));
	assert_non_null(strstr(text, "TSNET_BROKER_ABSTRACT=abstract-name\n"));
	assert_non_null(strstr(text, "TSNET_LOCALAPI=/run/localapi.sock\n"));
	assert_null(strstr(text, "TSNET_NODES"));
	assert_non_null(strstr(text, "TSNET_NODE=db\n"));
	assert_null(strstr(text, "tskey-secret"));
	assert_null(strstr(text, "TSNET_HOSTNAME"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exit_codes),
		cmocka_unit_test(test_cannot_start),
		cmocka_unit_test(test_signals_are_passed_on),
		cmocka_unit_test(test_waits_for_descendants),
		cmocka_unit_test(test_environment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
