/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Connections that Zephyr's HTTP server has upgraded, for src/zephyr/http.rs.
 *
 * The server answers the opening handshake with 101, makes a WebSocket of its own of the TCP
 * socket, and hands that over in a callback, in its thread. Here the TCP socket is taken out of it
 * again, and waits for the hub, together with the request.
 *
 * This is the only file that uses what is private in Zephyr:
 *
 * - struct websocket_context has the TCP socket in real_sock. Closing the WebSocket's descriptor
 *   sends a Close frame to that socket and releases the context, but does not close the socket.
 *   With none there, nothing is sent.
 * - The captured header fields are inside of the client's struct http_client_ctx, which has the
 *   request line too, and in data_len bytes from cursor on what came behind the head. The server
 *   forgets them after the callback.
 * - After a callback that fails, the server releases its client twice, and dereferences NULL. So
 *   the callback here never fails; it closes the connection itself.
 */

#include <errno.h>
#include <string.h>

#include <zephyr/kernel.h>
#include <zephyr/logging/log.h>
#include <zephyr/net/http/parser.h>
#include <zephyr/net/http/server.h>
#include <zephyr/net/http/service.h>
#include <zephyr/net/socket.h>
#include <zephyr/net/websocket.h>
#include <zephyr/sys/fdtable.h>
#include <zephyr/version.h>
#include <zephyr/zvfs/eventfd.h>
#include <zephyr_websocket/http.h>

#include <websocket_internal.h>

#include "shim.h"

LOG_MODULE_REGISTER(rust_websocket_http);

#if (ZEPHYR_VERSION_CODE < ZEPHYR_VERSION(4, 1, 99) ||                                             \
     ZEPHYR_VERSION_CODE > ZEPHYR_VERSION(4, 2, 99)) &&                                            \
	!defined(CONFIG_RUST_WEBSOCKET_HTTP_SERVER_ANY_VERSION)
#error "zephyr/http.c uses private parts of Zephyr's HTTP server, and was made for Zephyr 4.2: \
compare what its first comment says with this version, then set \
CONFIG_RUST_WEBSOCKET_HTTP_SERVER_ANY_VERSION"
#endif

#define HAS_TYPE(_type, _struct, _member)                                                          \
	_Generic(((struct _struct *)NULL)->_member, _type: true, default: false)

#define CHANGED " is not what it was in Zephyr 4.2, for which zephyr/http.c was made"

BUILD_ASSERT(HAS_TYPE(int, websocket_context, real_sock), "websocket_context.real_sock" CHANGED);
BUILD_ASSERT(HAS_TYPE(int, websocket_context, sock), "websocket_context.sock" CHANGED);
BUILD_ASSERT(HAS_TYPE(int, http_client_ctx, fd), "http_client_ctx.fd" CHANGED);
BUILD_ASSERT(HAS_TYPE(unsigned char *, http_client_ctx, cursor), "http_client_ctx.cursor" CHANGED);
BUILD_ASSERT(HAS_TYPE(size_t, http_client_ctx, data_len), "http_client_ctx.data_len" CHANGED);
BUILD_ASSERT(HAS_TYPE(struct http_parser, http_client_ctx, parser),
	     "http_client_ctx.parser" CHANGED);
BUILD_ASSERT(HAS_TYPE(struct http_header_capture_ctx, http_client_ctx, header_capture_ctx),
	     "http_client_ctx.header_capture_ctx" CHANGED);

/* The fields that an opening handshake depends on, and those that an application looks at. */
HTTP_SERVER_REGISTER_HEADER_CAPTURE(rust_websocket_host, "Host");
HTTP_SERVER_REGISTER_HEADER_CAPTURE(rust_websocket_origin, "Origin");
HTTP_SERVER_REGISTER_HEADER_CAPTURE(rust_websocket_key, "Sec-WebSocket-Key");
HTTP_SERVER_REGISTER_HEADER_CAPTURE(rust_websocket_protocol, "Sec-WebSocket-Protocol");
HTTP_SERVER_REGISTER_HEADER_CAPTURE(rust_websocket_version, "Sec-WebSocket-Version");

/* What the server has checked is not captured. */
#define CHECKED_FIELDS "Upgrade: websocket\r\nConnection: Upgrade\r\n"

/* One connection that waits for the hub, and its bytes behind it. */
struct waiting {
	int fd;
	uint16_t len;
};

/* The longest request: method, target, version, the fields with ": " and CR LF, what is behind. */
#define LONGEST_REQUEST                                                                            \
	(sizeof("UNSUBSCRIBE  HTTP/65535.65535\r\n" CHECKED_FIELDS "\r\n") +                       \
	 CONFIG_HTTP_SERVER_MAX_URL_LENGTH + CONFIG_HTTP_SERVER_CAPTURE_HEADER_BUFFER_SIZE +       \
	 CONFIG_HTTP_SERVER_CAPTURE_HEADER_COUNT * 2 + CONFIG_HTTP_SERVER_CLIENT_BUFFER_SIZE)

BUILD_ASSERT(CONFIG_RUST_WEBSOCKET_HTTP_QUEUE_SIZE >= sizeof(struct waiting) + LONGEST_REQUEST,
	     "raise CONFIG_RUST_WEBSOCKET_HTTP_QUEUE_SIZE: it must hold CONFIG_HTTP_SERVER_MAX_URL_LENGTH, "
	     "CONFIG_HTTP_SERVER_CAPTURE_HEADER_BUFFER_SIZE, CONFIG_HTTP_SERVER_CLIENT_BUFFER_SIZE "
	     "and 160 bytes more");
BUILD_ASSERT(LONGEST_REQUEST <= UINT16_MAX, "the HTTP server's buffers are too long");

enum close_code {
	GOING_AWAY = 1001,
	TRY_AGAIN_LATER = 1013,
};

static K_MUTEX_DEFINE(lock);
/* Those that wait, one behind the other. */
static uint8_t queue[CONFIG_RUST_WEBSOCKET_HTTP_QUEUE_SIZE];
static size_t queue_len;
/* How many hubs take connections from here. */
static int takers;
/* Readable while the queue is not empty, for their poll; negative if there was none to be had. */
static int event = -1;

/* Says why in a Close frame, if that can be said at once. */
static void close_connection(int fd, enum close_code code)
{
	const uint8_t frame[] = {0x88, 2, code >> 8, code & 0xff};

	(void)zsock_send(fd, frame, sizeof(frame), ZSOCK_MSG_DONTWAIT);
	(void)zsock_close(fd);
}

/*
 * Ends Zephyr's WebSocket, and returns the TCP socket that it had, which nobody closes: neither
 * the WebSocket's close, which finds no socket to send its Close frame to, nor the server, which
 * forgets its client after the callback.
 */
static int take_socket(int ws_socket)
{
	struct websocket_context *context = zvfs_get_fd_obj(ws_socket, NULL, 0);
	int fd;

	if (context == NULL || context->sock != ws_socket) {
		return -1;
	}

	fd = context->real_sock;
	context->real_sock = -1;
	/* Fails, as the Close frame cannot be sent, and has released the context and ws_socket. */
	(void)zsock_close(ws_socket);

	return fd;
}

static void put(size_t *at, const void *bytes, size_t len)
{
	memcpy(&queue[*at], bytes, len);
	*at += len;
}

static void put_text(size_t *at, const char *text)
{
	put(at, text, strlen(text));
}

/* Writes the request as the peer has sent it, as far as it is known. */
static void put_request(size_t *at, const struct http_request_ctx *request,
			const struct http_client_ctx *client)
{
	char version[sizeof(" HTTP/65535.65535\r\n")];

	put_text(at, http_method_str(client->parser.method));
	put_text(at, " ");
	put_text(at, (const char *)client->url_buffer);
	snprintk(version, sizeof(version), " HTTP/%u.%u\r\n", client->parser.http_major,
		 client->parser.http_minor);
	put_text(at, version);
	put_text(at, CHECKED_FIELDS);

	for (size_t i = 0; i < request->header_count; i++) {
		put_text(at, request->headers[i].name);
		put_text(at, ": ");
		put_text(at, request->headers[i].value);
		put_text(at, "\r\n");
	}

	if (request->headers_status != HTTP_HEADER_STATUS_OK) {
		/* A head without an end is what the hub takes for one that is too long. */
		LOG_WRN("a field of the request did not fit: see CONFIG_HTTP_SERVER_MAX_HEADER_LEN"
			" and CONFIG_HTTP_SERVER_CAPTURE_HEADER_*");
		return;
	}

	put_text(at, "\r\n");
	put(at, client->cursor, client->data_len);
}

int rust_websocket_http_upgraded(int ws_socket, struct http_request_ctx *request, void *user_data)
{
	const struct http_client_ctx *client;
	int fd = take_socket(ws_socket);
	int refusal = 0;
	size_t at;

	ARG_UNUSED(user_data);

	if (fd < 0) {
		return 0;
	}

	client = request->headers == NULL ? NULL
					  : CONTAINER_OF(request->headers, struct http_client_ctx,
							 header_capture_ctx.headers[0]);
	if (client == NULL || client->fd != fd) {
		LOG_ERR("this HTTP server is not the one that zephyr/http.c was made for");
		(void)zsock_close(fd);
		return 0;
	}

	rust_websocket_set_up(fd);

	(void)k_mutex_lock(&lock, K_FOREVER);
	at = queue_len + sizeof(struct waiting);
	if (takers == 0) {
		refusal = GOING_AWAY;
	} else if (at + LONGEST_REQUEST > sizeof(queue)) {
		refusal = TRY_AGAIN_LATER;
	} else {
		struct waiting waiting = {.fd = fd};
		size_t start = queue_len;

		put_request(&at, request, client);
		waiting.len = at - start - sizeof(waiting);
		put(&start, &waiting, sizeof(waiting));
		queue_len = at;
		(void)zvfs_eventfd_write(event, 1);
	}
	(void)k_mutex_unlock(&lock);

	if (refusal != 0) {
		LOG_DBG("closed with %d", refusal);
		close_connection(fd, refusal);
	}

	return 0;
}

/*
 * From now on connections wait for a hub. Returns a descriptor that is readable while one does, or
 * a negative number if CONFIG_ZVFS_EVENTFD_MAX are in use.
 */
int rust_websocket_http_open(void)
{
	int fd;

	(void)k_mutex_lock(&lock, K_FOREVER);
	if (takers++ == 0) {
		event = zvfs_eventfd(0, ZVFS_EFD_NONBLOCK);
	}
	fd = event;
	(void)k_mutex_unlock(&lock);

	return fd;
}

/* Takes the first connection that waits out of the queue, with the lock; -1 if there is none. */
static int take(uint8_t *bytes, size_t size, size_t *len)
{
	struct waiting waiting;
	size_t end;

	if (queue_len == 0) {
		return -1;
	}

	memcpy(&waiting, queue, sizeof(waiting));
	end = sizeof(waiting) + waiting.len;
	*len = waiting.len <= size ? waiting.len : 0;
	memcpy(bytes, &queue[sizeof(waiting)], *len);
	queue_len -= end;
	memmove(queue, &queue[end], queue_len);
	if (queue_len == 0) {
		zvfs_eventfd_t count;

		(void)zvfs_eventfd_read(event, &count);
	}

	return waiting.fd;
}

/*
 * Returns the socket of a connection that waits, and what is known of its request in len bytes, 0
 * if it is longer than size. Fails with EAGAIN if no connection waits.
 */
int rust_websocket_http_take(uint8_t *bytes, size_t size, size_t *len)
{
	int fd;

	(void)k_mutex_lock(&lock, K_FOREVER);
	fd = take(bytes, size, len);
	(void)k_mutex_unlock(&lock);

	return fd < 0 ? rust_websocket_failure(EAGAIN) : fd;
}

/* The hub is gone, and with the last one those that wait for it. */
void rust_websocket_http_close(void)
{
	int fd;

	(void)k_mutex_lock(&lock, K_FOREVER);
	if (--takers == 0) {
		uint8_t nothing;
		size_t len;

		while ((fd = take(&nothing, 0, &len)) >= 0) {
			close_connection(fd, GOING_AWAY);
		}
		if (event >= 0) {
			(void)zsock_close(event);
		}
		event = -1;
	}
	(void)k_mutex_unlock(&lock);
}

int rust_websocket_http_start(void)
{
	int err = http_server_start();

	return err == 0 || err == -EALREADY ? 0 : rust_websocket_failure(-err);
}

int rust_websocket_http_stop(void)
{
	int err = http_server_stop();

	return err == 0 || err == -EALREADY ? 0 : rust_websocket_failure(-err);
}
