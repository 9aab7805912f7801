/* SPDX-License-Identifier: BSD-3-Clause
 * libtailscale_storm.c - every call of tailscale.h from many threads at once,
 *			  and the servers are closed in the middle of it
 *
 *	libtailscale_storm URL KEY SEED
 *
 * Each thread makes calls of its own choice until its server is gone (EBADF);
 * nothing else may happen to it but an error. Ends when all have ended.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tailscale.h"

enum { THREADS = 5, SERVERS = 2 };

static tailscale servers[SERVERS];
static const char *const names[SERVERS] = {"alpha", "bravo"};

struct caller {
	pthread_t thread;
	int server;
	unsigned seed;
	long calls, good;
};

static int one_listener(struct caller *c, int sd)
{
	char peer[64], address[32];
	int listener, conn, code;

	snprintf(address, sizeof(address), ":%d",
		 7000 + rand_r(&c->seed) % 8);
	code = tailscale_listen(sd, "tcp", address, &listener);
	if (code)
		return code;
	code = tailscale_accept(listener, &conn);
	if (code == 0) {
		(void)tailscale_getremoteaddr(listener, conn, peer,
					      sizeof(peer));
		(void)!write(conn, "hello", 5);
		close(conn);
		c->good++;
	}
	close(listener);
	return code == EBADF ? -1 : code; /* the listener's, perhaps */
}

static int one_dial(struct caller *c, int sd)
{
	char address[32], got[8];
	int conn, code;

	snprintf(address, sizeof(address), "%s:%d", names[!c->server],
		 7000 + rand_r(&c->seed) % 8);
	code = tailscale_dial(sd, "tcp", address, &conn);
	if (code)
		return code;
	c->good += read(conn, got, sizeof(got)) == 5;
	close(conn);
	return 0;
}

static int one_question(struct caller *c, int sd)
{
	char text[256], proxy[33], local[33];

	switch (rand_r(&c->seed) % 5) {
	case 0:
		return tailscale_getips(sd, text, sizeof(text));
	case 1:
		return tailscale_errmsg(sd, text, sizeof(text));
	case 2:
		return tailscale_set_hostname(sd, "late");
	case 3:
		return tailscale_up(sd);
	default:
		return tailscale_loopback(sd, text, sizeof(text), proxy, local);
	}
}

static void *call(void *ctx)
{
	struct caller *c = ctx;
	int code = 0;

	while (code != EBADF) {
		int sd = servers[c->server];

		c->calls++;
		switch (rand_r(&c->seed) % 4) {
		case 0:
			code = one_listener(c, sd);
			break;
		case 1:
			code = one_dial(c, sd);
			break;
		default:
			code = one_question(c, sd);
			break;
		}
		if (code != 0 && code != -1 && code != EBADF) {
			fprintf(stderr, "a call returned %d\n", code);
			_exit(1);
		}
	}
	return NULL;
}

static tailscale start(const char *name, const char *url, const char *key)
{
	tailscale sd = tailscale_new();
	char err[256] = "";

	if (tailscale_set_hostname(sd, name) == 0 &&
	    tailscale_set_control_url(sd, url) == 0 &&
	    tailscale_set_authkey(sd, key) == 0 &&
	    tailscale_set_dir(sd, name) == 0 && tailscale_up(sd) == 0)
		return sd;
	tailscale_errmsg(sd, err, sizeof(err));
	fprintf(stderr, "%s: %s\n", name, err);
	_exit(1);
}

int main(int argc, char **argv)
{
	struct caller callers[SERVERS][THREADS];
	unsigned seed;
	long good = 0;

	if (argc != 4)
		return 64;
	seed = (unsigned)atoi(argv[3]);
	for (int i = 0; i < SERVERS; i++)
		servers[i] = start(names[i], argv[1], argv[2]);
	for (int i = 0; i < SERVERS; i++)
		for (int j = 0; j < THREADS; j++) {
			callers[i][j] = (struct caller){
				.server = i, .seed = seed + (unsigned)(9 * i + j)};
			pthread_create(&callers[i][j].thread, NULL, call,
				       &callers[i][j]);
		}
	for (int i = 0; i < SERVERS; i++) {
		usleep(300 * 1000 + (unsigned)rand_r(&seed) % 700000);
		if (tailscale_close(servers[i]) != 0)
			return 2;
	}
	for (int i = 0; i < SERVERS; i++)
		for (int j = 0; j < THREADS; j++) {
			pthread_join(callers[i][j].thread, NULL);
			good += callers[i][j].good;
		}
	fprintf(stderr, "%ld connections\n", good);
	printf("ok\n");
	return 0;
}
