/* SPDX-License-Identifier: BSD-3-Clause
 * api_publish.c - listeners that the node does something in front of
 * Source: tsnet/tsnet.go (ListenTLS, ListenFunnel, ListenService, Up)
 *
 * TLS ends in the node, which has the certificates; what the program accepts is
 * what was inside. Funnel is that for the internet as well, and an entry of
 * AllowFunnel in the serve configuration.
 *
 * A service is a listener on loopback, to which an entry of the serve
 * configuration leads; the node says that it hosts it. What was published is
 * remembered here, to be taken back with the listener: by tsnet_unlisten(), or,
 * where the program just closed the descriptor, by the next of these calls.
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
#include "core/engine/api_internal.h"
#include "core/serve/vip_services.h"

enum { BACKLOG = 1024, FQDN_CAP = 320 };

struct api_published {
	struct api_published *next;
	int fd;
	ino_t inode;
	char *service; /* "svc:..."; NULL: Funnel, to the target */
	char fqdn[FQDN_CAP];
	struct tsnet_service mode; /* without what it points to */
	char target[FQDN_CAP + 8]; /* "host:port" */
};

static ino_t inode_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

static void free_one(struct api_published *p)
{
	free(p->service);
	free(p);
}

void api_free_published(struct tsnet *ts)
{
	struct api_published *p;

	while ((p = ts->published)) {
		ts->published = p->next;
		free_one(p);
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
		free_one(p);
	}
	return first;
}

int tsnet_unlisten(struct tsnet *ts, int listener)
{
	int code = api_enter(ts);

	if (code)
		return code;
	if (!api_find_listener(ts, listener, NULL)) {
		api_leave(ts);
		return api_fail(ts, -EBADF, "not a listener of this server");
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
static json_t *running_status(struct tsnet *ts, unsigned wait_s, int *code)
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
	json_t *status = code ? NULL : running_status(ts, TSNET_FOREVER, &code);

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
	snprintf((*p)->target, sizeof((*p)->target), "%.*s:%u", FQDN_CAP - 1,
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
		p->fd = fd;
		p->inode = inode_of(fd);
		p->next = ts->published;
		ts->published = p;
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
	json_t *status = running_status(ts, TSNET_FOREVER, &code);
	const char *domain = first_cert_domain(status);

	if (!status)
		return code;
	code = api_serve_may_funnel(ts, asked->port);
	if (!code && !domain)
		code = api_fail(ts, -EPERM, "%s", no_https);
	if (!code) {
		pthread_mutex_lock(&ts->publish_lock);
		(void)take_back_of(ts, -1);
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
	json_t *status = running_status(ts, 0, &code);
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

/* -- services -------------------------------------------------------------- */

static int check_caps(struct tsnet *ts, const struct tsnet_app_cap *caps)
{
	for (; caps && caps->path; caps++)
		if (caps->path[0] != '/' || !caps->cap)
			return api_fail(ts, -EINVAL, "app_caps: a path begins "
					"with /, and has a capability");
	return 0;
}

static int check_service(struct tsnet *ts, const char *name,
			 const struct tsnet_service *mode)
{
	bool is_http = mode->kind == TSNET_SERVICE_HTTP ||
		       mode->kind == TSNET_SERVICE_HTTPS;

	if (!ts_vip_name_is_valid(name))
		return api_fail(ts, -EINVAL, "%.80s: not the name of a service "
				"(svc:dns-label)", name);
	if ((int)mode->kind < TSNET_SERVICE_TCP ||
	    (int)mode->kind > TSNET_SERVICE_HTTPS)
		return api_fail(ts, -EINVAL, "no such kind of service");
	if (mode->port == 0)
		return api_fail(ts, -EINVAL,
				"must specify a port to advertise");
	if (mode->proxy_protocol < 0 || mode->proxy_protocol > 2 ||
	    (is_http && mode->proxy_protocol))
		return api_fail(ts, -EINVAL, "proxy_protocol: 0, 1 or 2, and "
				"for TCP alone");
	if (!is_http && mode->app_caps)
		return api_fail(ts, -EINVAL, "app_caps: for HTTP alone");
	return check_caps(ts, mode->app_caps);
}

/* -1: none, or -errno */
static int open_native(uint16_t *port)
{
	struct ts_addr at = {.ip = ts_ip_from_v4_host(INADDR_LOOPBACK)};
	int fd = api_socket(SOCK_STREAM, &at);
	int err = fd < 0 ? fd : api_bind(fd, &at);

	if (!err && listen(fd, BACKLOG))
		err = -errno;
	if (!err)
		err = api_native_local(fd, &at);
	*port = at.port;
	if (!err)
		return fd;
	if (fd >= 0)
		close(fd);
	return err;
}

static struct api_published *new_published(const char *service,
					   const struct tsnet_service *mode,
					   const json_t *status)
{
	struct api_published *p = calloc(1, sizeof(*p));
	const char *suffix = json_string_value(json_object_get(
		json_object_get(status, "CurrentTailnet"), "MagicDNSSuffix"));

	if (!p)
		return NULL;
	p->service = strdup(service);
	p->mode = *mode;
	p->mode.app_caps = NULL;
	snprintf(p->fqdn, sizeof(p->fqdn), "%s.%s", service + strlen("svc:"),
		 suffix ? suffix : "");
	if (p->service)
		return p;
	free(p);
	return NULL;
}

/* Under publish_lock: p is the list's afterwards. */
static int publish(struct tsnet *ts, struct api_published *p,
		   const struct tsnet_service *mode)
{
	struct api_listener l = {.is_native = true};
	struct api_handler h = {
		.service = p->service, .mode = mode, .fqdn = p->fqdn};
	int code;

	l.fd = open_native(&h.native_port);
	if (l.fd < 0)
		return api_fail(ts, l.fd, "starting local listener: %s",
				ts_strerror(l.fd));
	code = api_serve_add(ts, &h);
	if (!code)
		code = api_serve_advertise(ts, p->service, true);
	if (!code)
		code = api_remember(ts, &l);
	if (code && code != -EEXIST)
		(void)api_serve_remove(ts, &h);
	if (code) {
		close(l.fd);
		return code;
	}
	p->fd = l.fd;
	p->inode = inode_of(l.fd);
	p->next = ts->published;
	ts->published = p;
	return l.fd;
}

static int listen_service(struct tsnet *ts, const char *name,
			  const struct tsnet_service *mode, char *fqdn,
			  size_t cap)
{
	struct api_published *p;
	int code;
	json_t *status = running_status(ts, TSNET_FOREVER, &code);

	if (!status)
		return code;
	if (json_array_size(json_object_get(json_object_get(status, "Self"),
					    "Tags")) == 0)
		code = api_fail(ts, -EPERM,
				"service hosts must be tagged nodes");
	p = code ? NULL : new_published(name, mode, status);
	json_decref(status);
	if (!p)
		return code ? code : api_fail(ts, -ENOMEM, "out of memory");
	if (fqdn && strlen(p->fqdn) >= cap) {
		free_one(p);
		return api_fail(ts, -ENOBUFS, "the buffer is too small");
	}
	pthread_mutex_lock(&ts->publish_lock);
	(void)take_back_of(ts, -1);
	code = publish(ts, p, mode);
	if (code >= 0 && fqdn)
		strcpy(fqdn, p->fqdn);
	pthread_mutex_unlock(&ts->publish_lock);
	if (code < 0)
		free_one(p);
	return code;
}

int tsnet_listen_service(struct tsnet *ts, const char *name,
			 const struct tsnet_service *service, char *fqdn,
			 size_t cap)
{
	int fd = api_check(ts, name && service, "name and service");

	if (!fd)
		fd = check_service(ts, name, service);
	if (!fd)
		fd = api_enter(ts);
	if (fd)
		return fd;
	fd = listen_service(ts, name, service, fqdn, cap);
	api_leave(ts);
	return fd;
}
