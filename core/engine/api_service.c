/* SPDX-License-Identifier: BSD-3-Clause
 * api_service.c - Tailscale Services that a program hosts
 * Source: tsnet/tsnet.go (ListenService, ServiceListener.Close)
 *
 * A service's port is a listener on loopback, to which an entry of the serve
 * configuration leads; the node says that it hosts the service.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/engine/api_publish.h"
#include "core/serve/vip_services.h"

enum { BACKLOG = 1024 };

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

/* fd, or -errno */
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
	api_keep_published(ts, p, l.fd);
	return l.fd;
}

static int listen_service(struct tsnet *ts, const char *name,
			  const struct tsnet_service *mode, char *fqdn,
			  size_t cap)
{
	struct api_published *p;
	int code;
	json_t *status = api_running_status(ts, TSNET_FOREVER, &code);

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
		api_free_one(p);
		return api_fail(ts, -ENOBUFS, "the buffer is too small");
	}
	pthread_mutex_lock(&ts->publish_lock);
	api_take_back_closed(ts);
	code = publish(ts, p, mode);
	if (code >= 0 && fqdn)
		strcpy(fqdn, p->fqdn);
	pthread_mutex_unlock(&ts->publish_lock);
	if (code < 0)
		api_free_one(p);
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
