/* SPDX-License-Identifier: BSD-3-Clause
 * small_stacks.c ADDRESS PORT PROGRAM [ARGUMENT...] - connect, and then exec
 * PROGRAM, in a signal handler on an alternate stack. It has 5 KB beside what
 * the kernel saves there: so much a processor with wide registers leaves of the
 * classic 8 KB. Below it nothing can be touched: who needs more gets SIGSEGV.
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LARGE = 65536, OURS = 5120, PAGE = 65536, UNTOUCHED = 0xa5 };

static struct sockaddr_in server = {.sin_family = AF_INET};
static char **command;
static char heard[64];
static unsigned char *room;
extern char **environ;

static void do_nothing(int sig)
{
	(void)sig;
}

static void connect_there(int sig)
{
	struct sockaddr_in name;
	socklen_t len = sizeof(name);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)sig;
	if (connect(fd, (struct sockaddr *)&server, sizeof(server)) == 0 &&
	    getpeername(fd, (struct sockaddr *)&name, &len) == 0 &&
	    name.sin_addr.s_addr == server.sin_addr.s_addr)
		(void)!read(fd, heard, sizeof(heard) - 1);
	close(fd);
}

static void become_command(int sig)
{
	(void)sig;
	execve(command[0], command, environ);
	_exit(1);
}

/* On a fresh stack that ends where nothing can be touched; how much of it was
 * used. */
static size_t handle(void (*handler)(int), size_t stack_len)
{
	struct sigaction on = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
	stack_t stack = {.ss_sp = room + PAGE, .ss_size = stack_len};
	size_t left = 0;

	memset(stack.ss_sp, UNTOUCHED, stack_len);
	if (sigaltstack(&stack, NULL) != 0 || sigaction(SIGUSR1, &on, NULL))
		exit(77);
	raise(SIGUSR1);
	while (left < stack_len && room[PAGE + left] == UNTOUCHED)
		left++;
	return stack_len - left;
}

int main(int argc, char **argv)
{
	size_t saved, used;

	room = mmap(NULL, PAGE + LARGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (argc < 4 || room == MAP_FAILED || mprotect(room, PAGE, PROT_NONE))
		return 64;
	inet_pton(AF_INET, argv[1], &server.sin_addr);
	server.sin_port = htons((unsigned short)atoi(argv[2]));
	command = argv + 3;
	saved = handle(do_nothing, LARGE);
	used = handle(connect_there, saved + OURS);
	printf("heard %s, in %zu bytes\n", heard, used - saved);
	fflush(stdout);
	handle(become_command, saved + OURS);
	return 1;
}
