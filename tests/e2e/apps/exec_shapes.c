/* SPDX-License-Identifier: BSD-3-Clause
 * exec_shapes.c - start a program, by every function that can, with an
 *                 environment that has nothing of ours
 *
 *   exec_shapes FUNCTION PROGRAM [ARGUMENT]...
 *
 * MARK=1 is all that the program gets. WITH_PRELOAD: and that LD_PRELOAD.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static char preload[4096];
static char *bare[] = {"MARK=1", NULL, NULL};
static char **args; /* PROGRAM ARGUMENT... */

static void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	_exit(3);
}

static void wait_for(pid_t pid)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		fail("wait");
	exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128);
}

static void by_execve(void)
{
	execve(args[0], args, bare);
}

static void by_execv(void)
{
	environ = bare;
	execv(args[0], args);
}

static void to_directory(char *out)
{
	strcpy(out, args[0]);
	*strrchr(out, '/') = '\0';
}

static void by_execvp(void)
{
	char dir[4096];

	to_directory(dir);
	setenv("PATH", dir, 1);
	unsetenv("LD_PRELOAD");
	execvp(strrchr(args[0], '/') + 1, args);
}

static void by_execvpe(void)
{
	execvpe(args[0], args, bare);
}

static void by_execl(void)
{
	environ = bare;
	execl(args[0], args[0], args[1], args[2], args[3], NULL);
}

static void by_execlp(void)
{
	environ = bare;
	execlp(args[0], args[0], args[1], args[2], args[3], NULL);
}

static void by_execle(void)
{
	execle(args[0], args[0], args[1], args[2], args[3], NULL, bare);
}

static void by_fexecve(void)
{
	fexecve(open(args[0], O_RDONLY | O_CLOEXEC), args, bare);
}

static void by_execveat(void)
{
	execveat(AT_FDCWD, args[0], args, bare, 0);
}

/* The program has no name. */
static void by_memfd(void)
{
	int fd = memfd_create("program", MFD_CLOEXEC);
	int file = open(args[0], O_RDONLY | O_CLOEXEC);
	char bytes[65536];
	ssize_t n;

	while ((n = read(file, bytes, sizeof(bytes))) > 0)
		if (write(fd, bytes, (size_t)n) != n)
			return;
	fexecve(fd, args, bare);
}

static void by_execveat_fd(void)
{
	execveat(open(args[0], O_PATH), "", args, bare, AT_EMPTY_PATH);
}

static void by_execveat_below(void)
{
	char *slash = strrchr(args[0], '/');
	int dir;

	*slash = '\0';
	dir = open(args[0], O_PATH | O_CLOEXEC);
	*slash = '/';
	execveat(dir, slash + 1, args, bare, 0);
}

static void start(int (*fn)(const char *command))
{
	char command[4096] = "";

	for (char **arg = args; *arg; arg++)
		snprintf(command + strlen(command),
			 sizeof(command) - strlen(command), "%s ", *arg);
	exit(fn(command) == 0 ? 0 : 3);
}

static int by_popen(const char *command)
{
	FILE *f = popen(command, "r");
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		fputs(line, stdout);
	return f ? pclose(f) : -1;
}

static void with_system(void)
{
	start(system);
}

static void with_popen(void)
{
	start(by_popen);
}

static void system_after_clearenv(void)
{
	clearenv();
	start(system);
}

static void popen_after_clearenv(void)
{
	clearenv();
	start(by_popen);
}

static void by_posix_spawn(void)
{
	pid_t pid = -1;

	errno = posix_spawn(&pid, args[0], NULL, NULL, args, bare);
	wait_for(pid);
}

static void by_posix_spawnp(void)
{
	pid_t pid = -1;

	errno = posix_spawnp(&pid, args[0], NULL, NULL, args, bare);
	wait_for(pid);
}

static void by_vfork(void)
{
	pid_t pid = vfork();

	if (pid == 0) {
		execve(args[0], args, bare);
		_exit(4);
	}
	wait_for(pid);
}

static void in_handler(int signo)
{
	(void)signo;
	execve(args[0], args, bare);
}

static void by_signal_handler(void)
{
	signal(SIGALRM, in_handler);
	raise(SIGALRM);
}

static void no_environment(void)
{
	execve(args[0], args, NULL);
}

/* What cannot be executed says so as it does without us. */
static void errors(void)
{
	static char *big[3] = {"MARK=1"};
	char *text = malloc(8 << 20);
	pid_t pid;

	if (execve("/proc/nonexistent", args, bare) != -1 || errno != ENOENT)
		fail("ENOENT");
	if (execve("/", args, bare) != -1 || errno != EACCES)
		fail("EACCES");
	if (execv("/dev/null", args) != -1 || errno != EACCES)
		fail("EACCES, a device");
	if (execve("/etc/passwd/x", args, bare) != -1 || errno != ENOTDIR)
		fail("ENOTDIR");
	if (execvp("no-such-command", args) != -1 || errno != ENOENT)
		fail("ENOENT in PATH");
	if (posix_spawn(&pid, "/proc/nonexistent", NULL, NULL, args, bare) != ENOENT)
		fail("posix_spawn");
	memset(text, 'x', (8 << 20) - 1);
	text[(8 << 20) - 1] = '\0';
	big[1] = text;
	if (execve(args[0], args, big) != -1 || errno != E2BIG)
		fail("E2BIG");
	puts("ok");
	exit(0);
}

#define FUNCTION(name) {#name, name}
static const struct {
	const char *name;
	void (*fn)(void);
} functions[] = {
	FUNCTION(by_execve), FUNCTION(by_execv), FUNCTION(by_execvp),
	FUNCTION(by_execvpe), FUNCTION(by_execl), FUNCTION(by_execlp),
	FUNCTION(by_execle), FUNCTION(by_fexecve), FUNCTION(by_execveat),
	FUNCTION(by_memfd), FUNCTION(by_execveat_fd),
	FUNCTION(by_execveat_below), FUNCTION(with_system),
	FUNCTION(with_popen),
	FUNCTION(system_after_clearenv),
	FUNCTION(popen_after_clearenv),
	FUNCTION(by_posix_spawn), FUNCTION(by_posix_spawnp),
	FUNCTION(by_vfork), FUNCTION(by_signal_handler),
	FUNCTION(no_environment), FUNCTION(errors),
};

int main(int argc, char **argv)
{
	const char *with = getenv("WITH_PRELOAD");

	if (argc < 3)
		return 2;
	if (with) {
		snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", with);
		bare[1] = preload;
	}
	args = argv + 2;
	for (size_t i = 0; i < sizeof(functions) / sizeof(*functions); i++)
		if (strcmp(functions[i].name, argv[1]) == 0)
			functions[i].fn();
	fail(argv[1]);
}
