/* SPDX-License-Identifier: BSD-3-Clause
 * test_told.c - what programs say by datagrams, without waiting for an answer
 */
#include "far_end.h"

#include <dirent.h>
#include <sys/stat.h>

/* Of a path that has room for the name beside it. */
enum { LONGEST = 107 - (sizeof(TS_BROKER_TOLD) - 1) };

struct place {
	char dir[32], path[108], told[120];
};

static void open_at_path(struct fixture *f, struct place *p, size_t path_len)
{
	struct ts_host_config config = {.timeout_s = 5};
	size_t len;

	strcpy(p->dir, "/tmp/host-test-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	len = (size_t)snprintf(p->path, sizeof(p->path), "%s/broker", p->dir);
	while (len < path_len)
		p->path[len++] = 'x';
	p->path[len] = '\0';
	snprintf(p->told, sizeof(p->told), "%s%s", p->path, TS_BROKER_TOLD);
	config.socket_path = p->path;
	open_fixture_with(f, config, TS_RUNNING);
}

static void close_at_path(struct fixture *f, const struct place *p)
{
	close_fixture(f);
	assert_int_equal(access(p->told, F_OK), -1);
	assert_int_equal(rmdir(p->dir), 0);
}

static int open_told(const struct place *p)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, p->told);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)),
			 0);
	return fd;
}

static void tell(const struct place *p, const struct ts_broker_request *req,
		 int pass_fd)
{
	int fd = open_told(p);

	send_request(fd, req, pass_fd);
	close(fd);
}

static int open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	int count = 0;

	while (readdir(d))
		count++;
	closedir(d);
	return count;
}

static void nothing(struct fixture *f, void *ctx)
{
	(void)f;
	(void)ctx;
}

/* A question is answered when what was said before it has been heard; and its
 * own connection is closed by the end of that turn of the loop. */
static void until_heard(struct fixture *f)
{
	const struct ts_broker_request any = {.type = TS_BROKER_REVERSE};

	(void)request(f, &any, -1);
	on_loop(f, nothing, NULL);
}

/* A socket that is bound, and the CONNECT that speaks of it. */
static int new_socket(struct fixture *f, struct ts_broker_request *req)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(0x7f010203)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	*req = (struct ts_broker_request){.type = TS_BROKER_CONNECT,
					  .proto = IPPROTO_TCP,
					  .flags = TS_BROKER_UNANSWERED,
					  .native_local = local_of(fd),
					  .tailnet = fake_addr(PEER ":80")};
	req->native_remote.ip = ts_ip_from_v4((const uint8_t[]){127, 3, 2, 1});
	req->native_remote.port = f->info.rendezvous_port;
	return fd;
}

static int knock(int fd, const struct ts_broker_request *req)
{
	struct sockaddr_storage ss;
	int len = ts_addr_to_sockaddr(&req->native_remote, AF_INET, &ss);

	return connect(fd, (struct sockaddr *)&ss, (socklen_t)len) ? errno : 0;
}

static void connects(void **state)
{
	struct ts_broker_request req;
	struct pollfd p = {.events = POLLOUT};
	struct fixture f;
	struct place at;
	struct stat st;
	int err = -1;
	socklen_t len = sizeof(err);

	(void)state;
	open_at_path(&f, &at, 0);
	assert_int_equal(stat(at.told, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	p.fd = new_socket(&f, &req);
	tell(&at, &req, p.fd);
	assert_int_equal(knock(p.fd, &req), EINPROGRESS);
	until_heard(&f);
	on_loop(&f, far_answer, NULL);
	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	assert_int_equal(getsockopt(p.fd, SOL_SOCKET, SO_ERROR, &err, &len),
			 0);
	assert_int_equal(err, 0);
	close(p.fd);
	close_at_path(&f, &at);
}

/* The socket fails, as nobody can be answered. */
static void refuses(void **state)
{
	struct ts_broker_request req;
	struct pollfd p = {.events = POLLOUT};
	struct fixture f;
	struct place at;

	(void)state;
	open_at_path(&f, &at, 0);
	p.fd = new_socket(&f, &req);
	memset(req.token, 0xee, sizeof(req.token)); /* of another host */
	tell(&at, &req, p.fd);
	assert_int_equal(knock(p.fd, &req), EINPROGRESS);
	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	assert_true(p.revents & POLLERR);
	close(p.fd);
	close_at_path(&f, &at);
}

static void takes_no_questions(void **state)
{
	struct ts_broker_request req;
	struct fixture f;
	struct place at;
	int fd, before;

	(void)state;
	open_at_path(&f, &at, 0);
	fd = new_socket(&f, &req);
	before = open_files();
	req.flags = 0;
	for (uint8_t type = 1; type <= TS_BROKER_TYPE_LAST; type++) {
		req.type = type;
		tell(&at, &req, fd);
		until_heard(&f);
		assert_int_equal(open_files(), before);
	}
	close(fd);
	close_at_path(&f, &at);
}

static void garbage_is_let_fall(void **state)
{
	static const uint8_t garbage[2 * TS_BROKER_MESSAGE_MAX] = {
		TS_BROKER_CONNECT, TS_BROKER_VERSION};
	const size_t lens[] = {0, 1, 20, TS_BROKER_MESSAGE_MAX,
			       sizeof(garbage)};
	const int fds[] = {0, 1, 2, 0, 1, 2, 0, 1};
	struct fixture f;
	struct place at;
	int fd, before;

	(void)state;
	open_at_path(&f, &at, 0);
	fd = open_told(&at);
	before = open_files();
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++)
		for (size_t n = 0; n <= 8; n += 4) {
			send_with_fds(fd, garbage, lens[i], fds, n);
			until_heard(&f);
			assert_int_equal(open_files(), before);
		}
	close(fd);
	close_at_path(&f, &at);
}

/* Then there are connections. */
static void a_long_path_has_no_room_for_it(void **state)
{
	struct fixture f;
	struct place at;

	(void)state;
	open_at_path(&f, &at, LONGEST);
	assert_int_equal(access(at.told, F_OK), 0);
	close_at_path(&f, &at);
	open_at_path(&f, &at, LONGEST + 1);
	assert_int_equal(access(at.path, F_OK), 0);
	assert_int_equal(access(at.told, F_OK), -1);
	until_heard(&f);
	close_at_path(&f, &at);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(connects),
	cmocka_unit_test(refuses),
	cmocka_unit_test(takes_no_questions),
	cmocka_unit_test(garbage_is_let_fall),
	cmocka_unit_test(a_long_path_has_no_room_for_it),
};

RUN_IN_EMPTY_NET(tests)
