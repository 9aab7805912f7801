/* SPDX-License-Identifier: BSD-3-Clause
 * tls_exit.c - a program with TLS of its own that has used the tailnet and ends
 *
 * Its handler is called by libcrypto's clean-up after those that were
 * registered later, just before the locks go. A node that is still at work then
 * is named.
 */
#include <dirent.h>
#include <netdb.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int count_node_threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *task;
	int count = 0;

	while (tasks && (task = readdir(tasks))) {
		char path[300], name[32] = "";
		FILE *comm;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm",
			 task->d_name);
		comm = fopen(path, "r");
		if (comm && fgets(name, sizeof(name), comm))
			count += strcmp(name, "tsnet\n") == 0;
		if (comm)
			fclose(comm);
	}
	if (tasks)
		closedir(tasks);
	return count;
}

static void look_for_the_node(void)
{
	/* A thread that was joined shows for a moment yet. */
	for (int i = 0; i < 200 && count_node_threads() > 0; i++)
		usleep(10000);
	if (count_node_threads() > 0)
		puts("the node is at work");
	puts("cleaned up");
}

int main(int argc, char **argv)
{
	struct addrinfo *found = NULL;

	OPENSSL_init_crypto(0, NULL);
	OPENSSL_atexit(look_for_the_node);
	if (argc != 2 || getaddrinfo(argv[1], "80", NULL, &found))
		return 1;
	freeaddrinfo(found);
	puts("found");
	OPENSSL_cleanup(); /* as BIND's tools do at their end */
	return 0;
}
