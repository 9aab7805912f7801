/* SPDX-License-Identifier: BSD-3-Clause
 * api_publish.c - listeners that the node does something in front of
 * Source: tsnet/tsnet.go (ListenTLS, ListenFunnel, Up)
 *
 * TLS ends in the node, which has the certificates; what the program accepts is
 * what was inside. Funnel is that for the internet as well, and an entry of
 * AllowFunnel in the serve configuration.
 *
 * What was published, a service's port as well (api_service.c), is remembered
 * here, to be taken back with the listener: by tsnet_unlisten(), or, where the
 * program just closed the descriptor, by the next of these calls.
 *
 * What a former run left behind is cleared when the node runs for the first
 * time, as tsnet does it: its listeners are gone.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/engine/api_publish.h"

static ino_t inode_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

void api_free_one(struct api_published *p)
{
	free(p->service);
	free(p);
}

void api_free_published(struct tsnet *ts)
{
	struct api_published *p;

	while ((p = ts->published)) {
		ts->published = p->next;
		api_free_one(p);
	}
}

/* -- taking it back, under publish_lock ------------------------------------ */

static bool has_another_port(const struct tsnet *ts,
			     const struct api_published *gone)
{
	const struct api_published *p;

	for (p = ts->published; p; p = p->next)
		if (p->service && strcmp(p->service, gone->service) == 0)
			return true;
	return false;
}

/* It is out of the list. */
static int take_back(struct tsnet *ts, const struct api_published *p)
{
	const struct api_handler h = {
		.service = p->service, .mode = &p->mode, .fqdn = p->fqdn};
	int first = 0, code;
	bool was_off;

	if (!p->service)
		return api_serve_funnel(ts, p->target, false, &was_off);
	if (!has_another_port(ts, p))
		first = api_serve_advertise(ts, p->service, false);
	code = api_serve_remove(ts, &h);
	return first ? first : code;
}

/* Of this descriptor, or (-1) of those that were closed. The first error. */
static int take_back_of(struct tsnet *ts, int fd)
{
	struct api_published **at = &ts->published, *p;
	int first = 0, code;

	while ((p = *at)) {
		if (fd >= 0 ? p->fd != fd : inode_of(p->fd) == p->inode) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		code = take_back(ts, p);
		first = first ? first : code;
		api_free_one(p);
	}
	return first;
}

void api_take_back_closed(struct tsnet *ts)
{
	(void)take_back_of(ts, -1);
}

void api_keep_published(struct tsnet *ts, struct api_published *p, int fd)
{
	p->fd = fd;
	p->inode = inode_of(fd);
	p->next = ts->published;
	ts->published = p;
}

int tsnet_unlisten(struct tsnet *ts, int listener)
{
	int code = api_enter(ts);

	if (code)
		return code;
	if (!api_find_listener(ts, listener, NULL)) {
		code = api_fail(ts, -EBADF, "not a listener of this server");
		api_leave(ts);
		return code;
	}
	pthread_mutex_lock(&ts->publish_lock);
	code = take_back_of(ts, listener);
	close(listener);
	pthread_mutex_unlock(&ts->publish_lock);
	api_leave(ts);
	return code;
}

int api_forget_leftovers(struct tsnet *ts)
{
	int code = 0;

	pthread_mutex_lock(&ts->publish_lock);
	if (!ts->has_no_leftovers)
		code = api_serve_clear(ts);
	ts->has_no_leftovers |= code == 0;
	pthread_mutex_unlock(&ts->publish_lock);
	return code;
}

/* -- what the node is ------------------------------------------------------ */

/* The node runs, and its status says what is needed of it. New, or NULL. */
json_t *api_running_status(struct tsnet *ts, unsigned wait_s, int *code)
{
	const struct timespec end = api_deadline(wait_s);
	char *text = NULL;
	json_t *status;

	*code = api_wait_running(ts, &end);
	if (!*code && wait_s)
		*code = api_forget_leftovers(ts);
	if (*code)
		return NULL;
	text = tsnet_local_request(ts, "GET",
				   "/localapi/v0/status?peers=false");
	status = text ? json_loads(text, 0, NULL) : NULL;
	free(text);
	if (!status)
		*code = -EIO; /* and why is said */
	return status;
}

/* -- TLS ------------------------------------------------------------------- */

static const char *first_cert_domain(const json_t *status)
{
	return json_string_value(
		json_array_get(json_object_get(status, "CertDomains"), 0));
}

static bool has_magic_dns(const json_t *status)
{
	return json_is_true(
		json_object_get(json_object_get(status, "CurrentTailnet"),
				"MagicDNSEnabled"));
}

static int check_tls(struct tsnet *ts, const json_t *status)
{
	if (!has_magic_dns(status))
		return api_fail(ts, -EPERM, "you must enable MagicDNS in the "
				"DNS page of the admin panel to proceed. See "
				"https://tailscale.com/s/https");
	if (!first_cert_domain(status))
		return api_fail(ts, -EPERM, "you must enable HTTPS in the "
				"admin panel to proceed. See "
				"https://tailscale.com/s/https");
	return 0;
}

static int check_tcp(struct tsnet *ts, const char *what, const char *network,
		     const char *address)
{
	return strcmp(network, "tcp") == 0
		       ? 0
		       : api_fail(ts, -EPROTONOSUPPORT, "%s(\"%.20s\", "
				  "\"%.60s\"): only tcp is supported", what,
				  network, address);
}

static int listen_tls(struct tsnet *ts, const char *network,
		      const char *address)
{
	struct ts_addr asked = {0};
	int code = api_parse_listen(ts, network, IPPROTO_TCP, 0, address,
				    &asked);
	json_t *status =
		code ? NULL : api_running_status(ts, TSNET_FOREVER, &code);

	if (!status)
		return code;
	code = check_tls(ts, status);
	json_decref(status);
	if (code)
		return code;
	code = api_listen_tcp(ts, 0, &asked, TS_BROKER_TLS);
	return code >= 0 ? code : api_fail_listen(ts, code, network, address);
}

int tsnet_listen_tls(struct tsnet *ts, const char *network,
		     const char *address)
{
	int fd = api_check(ts, network && address, "network and address");

	if (!fd)
		fd = check_tcp(ts, "ListenTLS", network, address);
	if (!fd)
		fd = api_enter(ts);
	if (fd)
		return fd;
	fd = listen_tls(ts, network, address);
	api_leave(ts);
	return fd;
}

/* -- Funnel ---------------------------------------------------------------- */

static const char no_https[] = "Funnel not available; HTTPS must be enabled. "
			       "See https://tailscale.com/s/https";

/* Under publish_lock. target's entry is there afterwards, and *p remembers
 * it if it was made here. */
static int open_funnel(struct tsnet *ts, const char *domain, uint16_t port,
		       struct api_published **p)
{
	bool was_on;
	int code;

	*p = calloc(1, sizeof(**p));
	if (!*p)
		return api_fail(ts, -ENOMEM, "out of memory");
	snprintf((*p)->target, sizeof((*p)->target), "%.*s:%u", API_FQDN_CAP - 1,
		 domain, port);
	code = api_serve_funnel(ts, (*p)->target, true, &was_on);
	if (code || was_on) {
		free(*p);
		*p = NULL;
	}
	return code;
}

static int publish_funnel(struct tsnet *ts, const char *domain,
			  struct ts_addr *asked, uint8_t flags)
{
	struct api_published *p;
	bool was_off;
	int code = open_funnel(ts, domain, asked->port, &p), fd;

	if (code)
		return code;
	fd = api_listen_tcp(ts, 0, asked, flags);
	if (fd < 0 && p) {
		(void)api_serve_funnel(ts, p->target, false, &was_off);
		free(p);
	} else if (p) {
		api_keep_published(ts, p, fd);
	}
	return fd;
}

static uint8_t listen_flags(unsigned flags)
{
	unsigned out = TS_BROKER_FUNNEL;

	if (!(flags & TSNET_FUNNEL_OWN_TLS))
		out |= TS_BROKER_TLS;
	if (flags & TSNET_FUNNEL_ONLY)
		out |= TS_BROKER_FUNNEL_ONLY;
	return (uint8_t)out;
}

static int listen_funnel(struct tsnet *ts, const char *address,
			 struct ts_addr *asked, unsigned flags)
{
	int code;
	json_t *status = api_running_status(ts, TSNET_FOREVER, &code);
	const char *domain = first_cert_domain(status);

	if (!status)
		return code;
	code = api_serve_may_funnel(ts, asked->port);
	if (!code && !domain)
		code = api_fail(ts, -EPERM, "%s", no_https);
	if (!code) {
		pthread_mutex_lock(&ts->publish_lock);
		api_take_back_closed(ts);
		code = publish_funnel(ts, domain, asked, listen_flags(flags));
		pthread_mutex_unlock(&ts->publish_lock);
		if (code == -EADDRINUSE)
			api_fail_listen(ts, code, "tcp", address);
	}
	json_decref(status);
	return code;
}

int tsnet_listen_funnel(struct tsnet *ts, const char *network,
			const char *address, unsigned flags)
{
	struct ts_addr asked = {0};
	int fd = api_check(ts, network && address, "network and address");

	if (!fd)
		fd = check_tcp(ts, "ListenFunnel", network, address);
	if (!fd && (address[0] != ':' ||
		    flags & ~(unsigned)(TSNET_FUNNEL_ONLY |
					TSNET_FUNNEL_OWN_TLS)))
		fd = api_fail(ts, -EINVAL, "ListenFunnel(\"%.20s\", "
			      "\"%.60s\"): host must be empty", network,
			      address);
	if (!fd)
		fd = api_parse_listen(ts, network, IPPROTO_TCP, 0, address,
				      &asked);
	if (!fd)
		fd = api_enter(ts);
	if (fd)
		return fd;
	fd = listen_funnel(ts, address, &asked, flags);
	api_leave(ts);
	return fd;
}

/* libtailscale does not wait for the node here, nor see that it may not. */
static int funnel_to_localhost(struct tsnet *ts, uint16_t port)
{
	int code;
	json_t *status = api_running_status(ts, 0, &code);
	const char *domain = first_cert_domain(status);

	if (!status)
		return code;
	if (!domain)
		code = api_fail(ts, -EPERM, "%s", no_https);
	if (!code)
		code = api_serve_may_funnel(ts, 443);
	if (!code)
		code = api_serve_localhost(ts, domain, port);
	json_decref(status);
	return code;
}

int api_funnel_to_localhost(struct tsnet *ts, int port)
{
	int code = port > 0 && port <= UINT16_MAX
			   ? api_enter(ts)
			   : api_fail(ts, -EINVAL, "%d: no port", port);

	if (code)
		return code;
	code = funnel_to_localhost(ts, (uint16_t)port);
	api_leave(ts);
	return code;
}
