/* SPDX-License-Identifier: BSD-3-Clause
 * libtailscale.c - tailscale.h: libtailscale's interface over tsnet.h
 *
 * Its servers are numbers that count up from 42 * 65536 + 1, and its calls find
 * a listener's server by the listener alone: so there is one list of servers in
 * the process, which nothing else here needs.
 *
 * A server is in use by the list and by each call that found it there; the last
 * one frees it. tailscale_close() takes it out of the list and stops it, which
 * ends the calls.
 *
 * Source: libtailscale's tailscale.h and tailscale.go; PROTOCOL 20
 */
#include "tailscale.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libtailscale.h"
#include "core/engine/api_internal.h"

#define EXPORT __attribute__((visibility("default")))

enum { FIRST_HANDLE = 42 * 65536 + 1, DIR_CAP = 4096 };

struct server {
	struct server *next;
	int handle, users, log_fd;
	struct tsnet *ts;
	bool has_dir; /* the program named one */
	char err[API_ERR_CAP];
};

static struct {
	pthread_mutex_t lock;
	struct server *first;
	int last; /* handle given out */
} servers = {.lock = PTHREAD_MUTEX_INITIALIZER, .last = FIRST_HANDLE - 1};

/* -- servers -------------------------------------------------------------- */

static void put(struct server *s)
{
	bool is_last;

	pthread_mutex_lock(&servers.lock);
	is_last = --s->users == 0;
	pthread_mutex_unlock(&servers.lock);
	if (!is_last)
		return;
	api_free(s->ts);
	if (s->log_fd >= 0)
		close(s->log_fd);
	free(s);
}

/* NULL: none. To be put(). */
static struct server *get(int handle)
{
	struct server *s;

	pthread_mutex_lock(&servers.lock);
	for (s = servers.first; s && s->handle != handle; s = s->next)
		;
	if (s)
		s->users++;
	pthread_mutex_unlock(&servers.lock);
	return s;
}

static struct server *get_by_listener(int fd)
{
	struct server *s;

	pthread_mutex_lock(&servers.lock);
	for (s = servers.first; s && !api_find_listener(s->ts, fd, NULL);
	     s = s->next)
		;
	if (s)
		s->users++;
	pthread_mutex_unlock(&servers.lock);
	return s;
}

/* NULL: none. The list's use of it is the caller's now. */
static struct server *take_out(int handle)
{
	struct server **at, *s;

	pthread_mutex_lock(&servers.lock);
	for (at = &servers.first; *at && (*at)->handle != handle;
	     at = &(*at)->next)
		;
	s = *at;
	if (s)
		*at = s->next;
	pthread_mutex_unlock(&servers.lock);
	return s;
}

/* Remembers what went wrong (code < 0), or that nothing did. */
static int record(struct server *s, int code)
{
	pthread_mutex_lock(&servers.lock);
	pthread_mutex_lock(&s->ts->errmsg_lock);
	snprintf(s->err, sizeof(s->err), "%s", code < 0 ? s->ts->errmsg : "");
	pthread_mutex_unlock(&s->ts->errmsg_lock);
	pthread_mutex_unlock(&servers.lock);
	return code < 0 ? -1 : 0;
}

/* The same, and s is done with. */
static int finish(struct server *s, int code)
{
	int result = record(s, code);

	put(s);
	return result;
}

/* What fits; 0 or ERANGE. */
static int copy_out(const char *text, char *buf, size_t buflen)
{
	if (!buf || buflen == 0)
		return ERANGE;
	snprintf(buf, buflen, "%s", text);
	return strlen(text) < buflen ? 0 : ERANGE;
}

EXPORT tailscale tailscale_new(void)
{
	struct server *s = calloc(1, sizeof(*s));

	if (s)
		s->ts = tsnet_new();
	if (!s || !s->ts) {
		free(s);
		return -1;
	}
	s->users = 1;
	s->log_fd = -1;
	pthread_mutex_lock(&servers.lock);
	s->handle = ++servers.last;
	s->next = servers.first;
	servers.first = s;
	pthread_mutex_unlock(&servers.lock);
	return s->handle;
}

/* -- settings ------------------------------------------------------------- */

/* After the start it has no effect, and is no error either. */
static int set(tailscale sd, const char *key, const char *value)
{
	struct server *s = get(sd);
	int code;

	if (!s)
		return EBADF;
	code = tsnet_set(s->ts, key, value && *value ? value : NULL);
	if (code == -EBUSY)
		code = 0;
	return finish(s, code);
}

EXPORT int tailscale_set_dir(tailscale sd, const char *dir)
{
	struct server *s = get(sd);

	if (s) {
		s->has_dir = dir && *dir;
		put(s);
	}
	return set(sd, "state_dir", dir);
}

EXPORT int tailscale_set_hostname(tailscale sd, const char *hostname)
{
	return set(sd, "hostname", hostname);
}

EXPORT int tailscale_set_authkey(tailscale sd, const char *authkey)
{
	return set(sd, "auth_key", authkey);
}

EXPORT int tailscale_set_control_url(tailscale sd, const char *control_url)
{
	return set(sd, "control_url", control_url);
}

EXPORT int tailscale_set_ephemeral(tailscale sd, int ephemeral)
{
	return set(sd, "ephemeral", ephemeral ? "yes" : "no");
}

/* The engine's thread has descriptors of its own, and opens the file anew. */
EXPORT int tailscale_set_logfd(tailscale sd, int fd)
{
	struct server *s = get(sd);
	char path[64] = "/dev/null";

	if (!s)
		return EBADF;
	if (fd >= 0)
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getpid(),
			 fd);
	if (s->log_fd >= 0 && s->log_fd != fd)
		close(s->log_fd);
	s->log_fd = fd;
	put(s);
	return set(sd, "log_file", path);
}

/* -- the start ------------------------------------------------------------ */

static const char *program_name(char *buf, size_t cap)
{
	ssize_t len = readlink("/proc/self/exe", buf, cap - 1);
	char *name;

	if (len <= 0)
		return "program";
	buf[len] = '\0';
	name = strrchr(buf, '/');
	name = name ? name + 1 : buf;
	for (char *c = name; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	return name;
}

/* As os.UserConfigDir() and tsnet's Dir have it: who comes from libtailscale
 * keeps its node. */
static bool default_dir(char out[static DIR_CAP])
{
	const char *config = getenv("XDG_CONFIG_HOME");
	const char *home = getenv("HOME");
	char exe[DIR_CAP];
	int n = 0;

	if (config && *config == '/')
		n = snprintf(out, DIR_CAP, "%s", config);
	else if (home && *home)
		n = snprintf(out, DIR_CAP, "%s/.config", home);
	if (n <= 0 || n >= DIR_CAP)
		return false;
	(void)mkdir(out, 0700);
	n += snprintf(out + n, (size_t)(DIR_CAP - n), "/tsnet-%s",
		      program_name(exe, sizeof(exe)));
	return n < DIR_CAP;
}

static int prepare(struct server *s)
{
	const char *named = getenv("TSNET_STATE_DIR");
	char dir[DIR_CAP];
	int code = 0;

	if (!s->has_dir && !(named && *named) && default_dir(dir))
		code = tsnet_set(s->ts, "state_dir", dir);
	return code == -EBUSY ? 0 : code;
}

static int begin(tailscale sd, int (*start)(struct tsnet *ts))
{
	struct server *s = get(sd);
	int code;

	if (!s)
		return EBADF;
	code = prepare(s);
	return finish(s, code ? code : start(s->ts));
}

static int start_and_wait(struct tsnet *ts)
{
	return tsnet_up(ts, TSNET_FOREVER);
}

EXPORT int tailscale_start(tailscale sd)
{
	return begin(sd, tsnet_start);
}

EXPORT int tailscale_up(tailscale sd)
{
	return begin(sd, start_and_wait);
}

EXPORT int tailscale_close(tailscale sd)
{
	struct server *s = take_out(sd);

	if (!s)
		return EBADF;
	api_stop(s->ts);
	put(s);
	return 0;
}

/* -- use ------------------------------------------------------------------ */

EXPORT int tailscale_getips(tailscale sd, char *buf, size_t buflen)
{
	static const char none[] = "invalid IP";
	char v4[TSNET_ADDR_CAP] = "", v6[TSNET_ADDR_CAP] = "";
	char both[2 * TSNET_ADDR_CAP];
	struct server *s = get(sd);

	if (!s) {
		(void)copy_out("", buf, buflen);
		return EBADF;
	}
	(void)tsnet_ips(s->ts, v4, v6, sizeof(v4));
	snprintf(both, sizeof(both), "%s,%s", *v4 ? v4 : none,
		 *v6 ? v6 : none);
	put(s);
	return copy_out(both, buf, buflen);
}

EXPORT int tailscale_dial(tailscale sd, const char *network, const char *addr,
			  tailscale_conn *conn_out)
{
	struct server *s = get(sd);
	int fd;

	if (!s)
		return EBADF;
	fd = api_check(s->ts, conn_out, "conn_out");
	if (!fd)
		fd = prepare(s);
	if (!fd)
		fd = tsnet_dial(s->ts, network, addr, TSNET_FOREVER);
	if (fd >= 0)
		*conn_out = fd;
	return finish(s, fd);
}

EXPORT int tailscale_listen(tailscale sd, const char *network,
			    const char *addr, tailscale_listener *listener_out)
{
	struct server *s = get(sd);
	int fd;

	if (!s)
		return EBADF;
	fd = api_check(s->ts, listener_out, "listener_out");
	if (!fd)
		fd = prepare(s);
	if (!fd)
		fd = tsnet_listen(s->ts, network, addr);
	if (fd >= 0)
		*listener_out = fd;
	return finish(s, fd);
}

EXPORT int tailscale_accept(tailscale_listener listener,
			    tailscale_conn *conn_out)
{
	struct server *s = get_by_listener(listener);
	int fd;

	if (!s)
		return EBADF;
	fd = api_check(s->ts, conn_out, "conn_out");
	if (!fd)
		fd = tsnet_accept(s->ts, listener, NULL, 0);
	if (fd >= 0)
		*conn_out = fd;
	return finish(s, fd);
}

/* The kernel's near end of an accepted connection is its listener's; a UDP
 * listener has none, and there the port has to do. */
static bool is_from(struct tsnet *ts, tailscale_listener listener,
		    tailscale_conn conn)
{
	struct ts_addr mine, theirs, peer;
	struct api_listener l;

	if (!api_find_listener(ts, listener, &l))
		return false;
	if (l.is_flows)
		return api_names_of(ts, conn, &theirs, &peer) == 0 &&
		       theirs.port == l.local.port && peer.port != 0;
	return api_native_local(listener, &mine) == 0 &&
	       api_native_local(conn, &theirs) == 0 &&
	       ts_addr_equal(&mine, &theirs);
}

EXPORT int tailscale_getremoteaddr(tailscale_listener listener,
				   tailscale_conn conn, char *buf,
				   size_t buflen)
{
	struct server *s = get_by_listener(listener);
	char peer[TSNET_ADDR_CAP] = "";
	int code = -EBADF;

	if (s && is_from(s->ts, listener, conn))
		code = tsnet_peer_addr(s->ts, conn, peer, sizeof(peer));
	if (s)
		put(s);
	if (code) {
		(void)copy_out("", buf, buflen);
		return EBADF;
	}
	*strrchr(peer, ':') = '\0';
	return copy_out(peer, buf, buflen);
}

EXPORT int tailscale_loopback(tailscale sd, char *addr_out, size_t addrlen,
			      char *proxy_cred_out, char *local_api_cred_out)
{
	struct server *s = get(sd);
	int code;

	if (addr_out && addrlen > 0)
		*addr_out = '\0';
	if (proxy_cred_out)
		*proxy_cred_out = '\0';
	if (local_api_cred_out)
		*local_api_cred_out = '\0';
	if (!s)
		return EBADF;
	code = prepare(s);
	if (!code) /* says what is NULL */
		code = tsnet_loopback(s->ts, addr_out, addrlen, proxy_cred_out,
				      local_api_cred_out);
	if (code == -ENOBUFS) {
		put(s);
		return ERANGE;
	}
	return finish(s, code);
}

EXPORT int
tailscale_enable_funnel_to_localhost_plaintext_http1(tailscale sd,
						     int localhostPort)
{
	struct server *s = get(sd);
	int code;

	if (!s)
		return EBADF;
	code = prepare(s);
	return finish(s, code ? code
			      : api_funnel_to_localhost(s->ts, localhostPort));
}

EXPORT int tailscale_errmsg(tailscale sd, char *buf, size_t buflen)
{
	struct server *s = get(sd);
	int result;

	if (!s) {
		(void)copy_out("", buf, buflen);
		return EBADF;
	}
	pthread_mutex_lock(&servers.lock);
	result = copy_out(s->err, buf, buflen);
	pthread_mutex_unlock(&servers.lock);
	put(s);
	return result;
}

/* -- the names that bindings use ------------------------------------------ */

#define SAME_AS(name) __attribute__((alias(name), visibility("default")))

int TsnetNewServer(void) SAME_AS("tailscale_new");
int TsnetStart(int sd) SAME_AS("tailscale_start");
int TsnetUp(int sd) SAME_AS("tailscale_up");
int TsnetClose(int sd) SAME_AS("tailscale_close");
int TsnetErrmsg(int sd, char *buf, size_t buflen) SAME_AS("tailscale_errmsg");
int TsnetDial(int sd, const char *network, const char *addr, int *conn_out)
	SAME_AS("tailscale_dial");
int TsnetSetDir(int sd, const char *dir) SAME_AS("tailscale_set_dir");
int TsnetSetHostname(int sd, const char *hostname)
	SAME_AS("tailscale_set_hostname");
int TsnetSetAuthKey(int sd, const char *authkey)
	SAME_AS("tailscale_set_authkey");
int TsnetSetControlURL(int sd, const char *control_url)
	SAME_AS("tailscale_set_control_url");
int TsnetSetEphemeral(int sd, int ephemeral)
	SAME_AS("tailscale_set_ephemeral");
int TsnetSetLogFD(int sd, int fd) SAME_AS("tailscale_set_logfd");
int TsnetGetIps(int sd, char *buf, size_t buflen) SAME_AS("tailscale_getips");
int TsnetGetRemoteAddr(int listener, int conn, char *buf, size_t buflen)
	SAME_AS("tailscale_getremoteaddr");
int TsnetListen(int sd, const char *network, const char *addr,
		int *listener_out) SAME_AS("tailscale_listen");
int TsnetAccept(int listener, int *conn_out) SAME_AS("tailscale_accept");
int TsnetLoopback(int sd, char *addr_out, size_t addrlen, char *proxy_cred_out,
		  char *local_api_cred_out) SAME_AS("tailscale_loopback");
int TsnetEnableFunnelToLocalhostPlaintextHttp1(int sd, int localhostPort)
	SAME_AS("tailscale_enable_funnel_to_localhost_plaintext_http1");
