/* SPDX-License-Identifier: BSD-3-Clause
 * process_tree.c - the command that tsrun runs, and what descends from it
 *
 * The command gets a process group of its own, and the terminal when we had
 * it, so that a Ctrl-C reaches it once and from the terminal. Signals sent to
 * us are passed on. We are the subreaper of its descendants: daemons keep
 * their node until they end. A stopped command stops us too, so that the
 * shell's job control works.
 */
#include "core/engine/process_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/base/log.h"
#include "core/crypto/secret.h"

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC 4
#endif

enum { EXIT_CANNOT_RUN = 126, EXIT_NOT_FOUND = 127, SIGNAL_BASE = 128 };

static const int forwarded[] = {SIGHUP,	 SIGINT,  SIGQUIT,  SIGTERM,
				SIGUSR1, SIGUSR2, SIGWINCH, SIGALRM};

struct process_tree {
	pid_t pid;   /* 0: ended */
	pid_t group; /* of the command and what it left behind */
	int asked_to_end; /* the last SIGTERM, SIGINT, ... or 0 */
	bool has_terminal;
	int exit_status;
	void (*fn)(void *ctx, int exit_status);
	void *ctx;
	bool ended;
};

/* Written once at start, before any thread. */
static struct {
	struct rlimit files;
	int *fds;
	size_t fd_count;
} inherited;

static void remember_fd(int fd)
{
	int *more = realloc(inherited.fds,
			    (inherited.fd_count + 1) * sizeof(*more));

	if (!more)
		return; /* kept open: the lesser evil */
	inherited.fds = more;
	inherited.fds[inherited.fd_count++] = fd;
}

void process_remember_inheritance(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	getrlimit(RLIMIT_NOFILE, &inherited.files);
	while (dir && (entry = readdir(dir))) {
		int fd = atoi(entry->d_name);

		/* What closes on exec is not for the command. */
		if (fd > STDERR_FILENO && !(fcntl(fd, F_GETFD) & FD_CLOEXEC))
			remember_fd(fd);
	}
	if (dir)
		closedir(dir);
}

static void close_inherited(void)
{
	for (size_t i = 0; i < inherited.fd_count; i++)
		close(inherited.fds[i]);
	free(inherited.fds);
	inherited.fds = NULL;
	inherited.fd_count = 0;
}

static void close_on_exec_each(void)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (atoi(entry->d_name) > STDERR_FILENO)
			fcntl(atoi(entry->d_name), F_SETFD, FD_CLOEXEC);
	if (dir)
		closedir(dir);
}

/* Libraries of ours open descriptors that do not close on exec (libcurl): the
 * command gets what was inherited for it and no more. */
static void leave_only_inherited(void)
{
	if (syscall(SYS_close_range, STDERR_FILENO + 1, ~0u,
		    CLOSE_RANGE_CLOEXEC) != 0)
		close_on_exec_each();
	for (size_t i = 0; i < inherited.fd_count; i++)
		fcntl(inherited.fds[i], F_SETFD, 0);
}

static bool is_setting(const char *entry)
{
	static const char *const names[] = {
		"TS_AUTHKEY=", "TS_AUTH_KEY=", "TS_CLIENT_SECRET=",
		"TS_CLIENT_ID=", "TS_ID_TOKEN=", "TS_AUDIENCE=",
		"TS_CONTROL_URL="};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strncmp(entry, names[i], strlen(names[i])) == 0)
			return true;
	}
	/* What is for the command: which of several nodes it is to use. */
	return strncmp(entry, "TSNET_", 6) == 0 &&
	       strncmp(entry, "TSNET_SHIM_", 11) != 0 &&
	       strncmp(entry, "TSNET_NODE=", 11) != 0;
}

/* One of ours, or the one of that name. */
static bool is_out(const char *entry, const char *name)
{
	size_t len = name ? strlen(name) : 0;

	if (!name)
		return is_setting(entry);
	return strncmp(entry, name, len) == 0 && entry[len] == '=';
}

static void scrub(const char *name)
{
	char **to = environ;

	for (char **from = environ; *from; from++) {
		if (is_out(*from, name))
			ts_wipe(*from, strlen(*from));
		else
			*to++ = *from;
	}
	*to = NULL;
}

void process_scrub_environment(void)
{
	scrub(NULL);
}

void process_scrub_variable(const char *name)
{
	scrub(name);
}

/* -- the child ------------------------------------------------------------ */
static void set_preload(void)
{
	char own[512], value[2048];
	const char *lib = getenv("TSNET_SHIM_LIBRARY");
	const char *before = getenv("LD_PRELOAD");
	ssize_t len;
	char *slash;

	if (!lib) {
		len = readlink("/proc/self/exe", own, sizeof(own) - 64);
		if (len < 0)
			return;
		own[len] = '\0';
		slash = strrchr(own, '/');
		strcpy(slash ? slash + 1 : own, "libtsnet_shim.so");
		lib = own;
	}
	snprintf(value, sizeof(value), "%s%s%s", lib,
		 before && *before ? ":" : "", before ? before : "");
	setenv("LD_PRELOAD", value, 1);
}

/* Socket activation (sd_listen_fds(3)) names the process that it is meant for:
 * us, before; the command, now. */
static void pass_on_listen_pid(void)
{
	const char *text = getenv("LISTEN_PID");
	char own[16];

	if (!text || atoi(text) != getppid())
		return;
	snprintf(own, sizeof(own), "%d", (int)getpid());
	setenv("LISTEN_PID", own, 1);
}

/* Upper and lower case: programs look for either. */
static void set_proxy(const char *where)
{
	static const struct {
		const char *scheme, *upper, *lower;
	} names[] = {
		{"socks5h", "ALL_PROXY", "all_proxy"},
		{"http", "HTTP_PROXY", "http_proxy"},
		{"http", "HTTPS_PROXY", "https_proxy"},
	};
	char value[256];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(value, sizeof(value), "%s://%s", names[i].scheme,
			 where);
		setenv(names[i].upper, value, 1);
		setenv(names[i].lower, value, 1);
	}
	setenv("NO_PROXY", "localhost,127.0.0.1,::1", 1);
	setenv("no_proxy", "localhost,127.0.0.1,::1", 1);
}

static void set_environment(const struct process_env *env)
{
	set_preload();
	pass_on_listen_pid();
	setenv("TSNET_BROKER", env->broker_path, 1);
	setenv("TSNET_BROKER_ABSTRACT", env->broker_abstract, 1);
	setenv("TSNET_LOCALAPI", env->localapi_path, 1);
	if (env->localapis)
		setenv("TSNET_LOCALAPIS", env->localapis, 1);
	if (env->proxy)
		set_proxy(env->proxy);
	if (env->has_notify)
		setenv("TSNET_NOTIFY", "1", 1);
	if (!env->follow_exec)
		setenv("TSNET_FOLLOW_EXEC", "no", 1);
	if (env->has_exit_node)
		setenv("TSNET_SHIM_EXIT_NODE", "1", 1);
}

static void become_command(char **argv, const struct process_env *env,
			   bool take_terminal, int error_fd)
{
	sigset_t none;
	int err;

	setpgid(0, 0);
	if (take_terminal) {
		signal(SIGTTOU, SIG_IGN);
		tcsetpgrp(STDIN_FILENO, getpid());
		signal(SIGTTOU, SIG_DFL);
	}
	for (size_t i = 0; i < ARRAY_LEN(forwarded); i++)
		signal(forwarded[i], SIG_DFL);
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (inherited.files.rlim_max)
		setrlimit(RLIMIT_NOFILE, &inherited.files);
	set_environment(env);
	leave_only_inherited();
	execvp(argv[0], argv);
	err = errno;
	if (write(error_fd, &err, sizeof(err)) < 0)
		_exit(EXIT_CANNOT_RUN);
	_exit(EXIT_NOT_FOUND);
}

/* Blocks until the child has exec'ed (0) or failed to (its errno). */
static int exec_result(int fd)
{
	int err = 0;
	ssize_t n;

	do {
		n = read(fd, &err, sizeof(err));
	} while (n < 0 && errno == EINTR);
	return n == sizeof(err) ? err : 0;
}

/* -- the parent ----------------------------------------------------------- */
static bool ends_programs(int signo)
{
	return signo == SIGTERM || signo == SIGINT || signo == SIGQUIT ||
	       signo == SIGHUP;
}

static void on_signal(void *ctx, int signo)
{
	struct process_tree *tree = ctx;

	if (ends_programs(signo))
		tree->asked_to_end = signo;
	if (tree->pid > 0)
		kill(tree->pid, signo);
	else if (tree->group > 0)
		kill(-tree->group, signo);
}

static void finish(struct process_tree *tree)
{
	if (tree->ended)
		return;
	tree->ended = true;
	tree->fn(tree->ctx, tree->exit_status);
}

static void take_back_terminal(const struct process_tree *tree)
{
	void (*before)(int);

	if (!tree->has_terminal)
		return;
	before = signal(SIGTTOU, SIG_IGN);
	tcsetpgrp(STDIN_FILENO, getpgrp());
	signal(SIGTTOU, before);
}

/* Ctrl-Z: the shell must see us stop; when it wakes us, so does the command. */
static void follow_stop(struct process_tree *tree)
{
	void (*before)(int);

	take_back_terminal(tree);
	raise(SIGSTOP);
	before = signal(SIGTTOU, SIG_IGN);
	if (tree->has_terminal)
		tcsetpgrp(STDIN_FILENO, tree->pid);
	signal(SIGTTOU, before);
	kill(-tree->pid, SIGCONT);
}

static void note_end(struct process_tree *tree, int status)
{
	tree->pid = 0;
	tree->exit_status = WIFSIGNALED(status)
				    ? SIGNAL_BASE + WTERMSIG(status)
				    : WEXITSTATUS(status);
	take_back_terminal(tree);
	/* The signal may have come when the command was already ending. */
	if (tree->asked_to_end)
		kill(-tree->group, tree->asked_to_end);
	if (getpid() == 1)
		finish(tree);
}

static void on_child(void *ctx, int signo)
{
	struct process_tree *tree = ctx;
	int status;
	pid_t pid;

	(void)signo;
	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
		if (pid != tree->pid)
			continue;
		if (WIFSTOPPED(status))
			follow_stop(tree);
		else
			note_end(tree, status);
	}
	if (pid < 0 && errno == ECHILD && tree->pid == 0)
		finish(tree);
}

static int watch_signals(struct ts_loop *loop, struct process_tree *tree)
{
	int err = ts_loop_on_signal(loop, SIGCHLD, on_child, tree);

	for (size_t i = 0; !err && i < ARRAY_LEN(forwarded); i++)
		err = ts_loop_on_signal(loop, forwarded[i], on_signal, tree);
	return err;
}

static bool owns_terminal(void)
{
	return isatty(STDIN_FILENO) && tcgetpgrp(STDIN_FILENO) == getpgrp();
}

static struct process_tree *spawn(struct process_tree *tree, char **argv,
				  const struct process_env *env,
				  int *exit_status, char err[static 256])
{
	int fds[2], failed;

	if (pipe2(fds, O_CLOEXEC)) {
		snprintf(err, 256, "cannot make a pipe: %s",
			 ts_strerror(-errno));
		return NULL;
	}
	tree->pid = fork();
	if (tree->pid == 0)
		become_command(argv, env, tree->has_terminal, fds[1]);
	close(fds[1]);
	failed = tree->pid < 0 ? errno : exec_result(fds[0]);
	close(fds[0]);
	if (!failed) {
		close_inherited();
		tree->group = tree->pid;
		return tree;
	}
	*exit_status = failed == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
	snprintf(err, 256, "cannot run %s: %s", argv[0], ts_strerror(-failed));
	take_back_terminal(tree);
	return NULL;
}

struct process_tree *process_tree_start(struct ts_loop *loop, char **argv,
					const struct process_env *env,
					void (*fn)(void *ctx, int exit_status),
					void *ctx, int *exit_status,
					char err[static 256])
{
	struct process_tree *tree = calloc(1, sizeof(*tree));

	*exit_status = EXIT_CANNOT_RUN;
	if (!tree || watch_signals(loop, tree)) {
		snprintf(err, 256, "cannot start a process: %s",
			 ts_strerror(-ENOMEM));
		free(tree);
		return NULL;
	}
	tree->fn = fn;
	tree->ctx = ctx;
	tree->has_terminal = owns_terminal();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	/* On failure the tree stays with the loop's signal watches: the
	 * process is about to end. */
	return spawn(tree, argv, env, exit_status, err);
}

void process_tree_free(struct process_tree *tree)
{
	free(tree);
}
