BEGIN TRANSACTION;
CREATE TABLE account (
	name TEXT NOT NULL, 
	version BIGINT NOT NULL, 
	rest TEXT NOT NULL, 
	probe_at BIGINT, 
	probes BIGINT NOT NULL, 
	mass_at BIGINT, 
	answer_id BIGINT DEFAULT 0 NOT NULL, 
	answers_at BIGINT, 
	PRIMARY KEY (name)
);
CREATE TABLE chunk (
	file_id BIGINT NOT NULL, 
	n BIGINT NOT NULL, 
	data BLOB NOT NULL, 
	PRIMARY KEY (file_id, n)
);
CREATE TABLE content (
	id BIGINT NOT NULL, 
	mail_id BIGINT NOT NULL, 
	channel TEXT NOT NULL, 
	text TEXT NOT NULL, 
	params TEXT NOT NULL, 
	files TEXT NOT NULL, 
	notes TEXT NOT NULL, 
	alphabet TEXT NOT NULL, 
	parts BIGINT NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE file (
	id BIGINT NOT NULL, 
	mail_id BIGINT NOT NULL, 
	created_at BIGINT NOT NULL, 
	name TEXT NOT NULL, 
	type TEXT NOT NULL, 
	size BIGINT NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE heard (
	account TEXT NOT NULL, 
	at BIGINT NOT NULL, 
	PRIMARY KEY (account)
);
CREATE TABLE incoming (
	id BIGINT NOT NULL, 
	mark TEXT NOT NULL, 
	account TEXT NOT NULL, 
	phone TEXT NOT NULL, 
	to_phone TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	text TEXT NOT NULL, 
	received_at BIGINT NOT NULL, 
	order_id BIGINT, 
	notice_id BIGINT, 
	took BIGINT DEFAULT 0 NOT NULL, 
	told TEXT DEFAULT '' NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE mail (
	id BIGINT NOT NULL, 
	received_at BIGINT NOT NULL, 
	sender TEXT NOT NULL, 
	source TEXT NOT NULL, 
	verified BIGINT NOT NULL, 
	peer TEXT NOT NULL, 
	helo TEXT NOT NULL, 
	subject TEXT NOT NULL, 
	message_id TEXT NOT NULL, 
	auto TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	ret TEXT NOT NULL, 
	envid TEXT NOT NULL, 
	utf8 BIGINT NOT NULL, 
	size BIGINT NOT NULL, 
	head BLOB NOT NULL, 
	full_id BIGINT, 
	notes TEXT NOT NULL, 
	results TEXT DEFAULT '' NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE meta (
	"key" TEXT NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY ("key")
);
INSERT INTO "meta" VALUES('oldest','1');
CREATE TABLE notice (
	id BIGINT NOT NULL, 
	version BIGINT NOT NULL, 
	mail_id BIGINT NOT NULL, 
	recipient_id BIGINT NOT NULL, 
	order_id BIGINT NOT NULL, 
	action TEXT NOT NULL, 
	status TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	code TEXT NOT NULL, 
	words TEXT NOT NULL, 
	unknown BIGINT NOT NULL, 
	state TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	due_at BIGINT, 
	attempts BIGINT NOT NULL, 
	report_id BIGINT, 
	last TEXT NOT NULL, 
	lead_id BIGINT, 
	PRIMARY KEY (id)
);
CREATE TABLE orders (
	id BIGINT NOT NULL, 
	version BIGINT NOT NULL, 
	mail_id BIGINT NOT NULL, 
	recipient_id BIGINT NOT NULL, 
	content_id BIGINT, 
	parent_id BIGINT, 
	merged_into BIGINT, 
	request_id BIGINT, 
	sender TEXT NOT NULL, 
	account TEXT NOT NULL, 
	channel TEXT NOT NULL, 
	target TEXT NOT NULL, 
	hidden BIGINT NOT NULL, 
	state TEXT NOT NULL, 
	rank BIGINT NOT NULL, 
	due_at BIGINT NOT NULL, 
	batch BIGINT NOT NULL, 
	digest TEXT NOT NULL, 
	says TEXT NOT NULL, 
	attempts BIGINT NOT NULL, 
	lease_until BIGINT, 
	created_at BIGINT NOT NULL, 
	start_at BIGINT NOT NULL, 
	expire_at BIGINT NOT NULL, 
	sent_at BIGINT, 
	finished_at BIGINT, 
	warn_at BIGINT, 
	poll_at BIGINT, 
	polls BIGINT NOT NULL, 
	kind TEXT NOT NULL, 
	status TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	code TEXT NOT NULL, 
	words TEXT NOT NULL, 
	cost TEXT NOT NULL, 
	parts BIGINT NOT NULL, 
	alarm TEXT DEFAULT '' NOT NULL, 
	label TEXT DEFAULT '' NOT NULL, 
	accounts TEXT DEFAULT '' NOT NULL, 
	source TEXT DEFAULT '' NOT NULL, 
	quiet TEXT DEFAULT '' NOT NULL, 
	cap TEXT DEFAULT '' NOT NULL, 
	counted_at BIGINT, 
	mask TEXT DEFAULT '' NOT NULL, 
	topic TEXT DEFAULT '' NOT NULL, 
	digests BIGINT DEFAULT 0 NOT NULL, 
	over_at BIGINT, 
	answered_at BIGINT, 
	PRIMARY KEY (id)
);
INSERT INTO "orders" VALUES(1,1,1,1,NULL,NULL,NULL,NULL,'','main','sms','+79991234567',0,'waiting',0,0,0,'','',0,NULL,0,0,0,NULL,NULL,NULL,NULL,0,'','','','','','',0,'','','','','','',NULL,'','',0,NULL,NULL);
CREATE TABLE phone (
	account TEXT NOT NULL, 
	target TEXT NOT NULL, 
	version BIGINT NOT NULL, 
	last_at BIGINT NOT NULL, 
	chain BIGINT NOT NULL, 
	texts TEXT NOT NULL, 
	PRIMARY KEY (account, target)
);
CREATE TABLE recipient (
	id BIGINT NOT NULL, 
	version BIGINT NOT NULL, 
	mail_id BIGINT NOT NULL, 
	position BIGINT NOT NULL, 
	address TEXT NOT NULL, 
	orcpt TEXT NOT NULL, 
	notify TEXT NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE repeat (
	"key" TEXT NOT NULL, 
	mail_id BIGINT NOT NULL, 
	at BIGINT NOT NULL, 
	PRIMARY KEY ("key")
);
CREATE TABLE request (
	id BIGINT NOT NULL, 
	version BIGINT NOT NULL, 
	account TEXT NOT NULL, 
	content_id BIGINT NOT NULL, 
	targets TEXT NOT NULL, 
	state TEXT NOT NULL, 
	cause TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	attempts BIGINT NOT NULL, 
	sent_at BIGINT, 
	broke_at BIGINT, 
	due_at BIGINT, 
	asks BIGINT NOT NULL, 
	absences BIGINT NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE spent (
	cap TEXT NOT NULL, 
	at BIGINT NOT NULL, 
	messages BIGINT NOT NULL, 
	parts BIGINT NOT NULL, 
	cost BIGINT NOT NULL, 
	PRIMARY KEY (cap, at)
);
CREATE TABLE step (
	id BIGINT NOT NULL, 
	version BIGINT NOT NULL, 
	mail_id BIGINT NOT NULL, 
	recipient_id BIGINT NOT NULL, 
	n BIGINT NOT NULL, 
	"after" BIGINT NOT NULL, 
	unless TEXT NOT NULL, 
	channel TEXT NOT NULL, 
	goal TEXT NOT NULL, 
	state TEXT NOT NULL, 
	due_at BIGINT, 
	ended_at BIGINT, 
	made_id BIGINT, 
	said TEXT NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE story (
	id BIGINT NOT NULL, 
	order_id BIGINT NOT NULL, 
	at BIGINT NOT NULL, 
	event TEXT NOT NULL, 
	detail TEXT NOT NULL, 
	PRIMARY KEY (id)
);
CREATE INDEX content_mail ON content (mail_id);
CREATE INDEX file_created ON file (created_at);
CREATE INDEX file_mail ON file (mail_id);
CREATE UNIQUE INDEX incoming_mark ON incoming (mark);
CREATE INDEX incoming_notice ON incoming (notice_id) WHERE notice_id IS NOT NULL;
CREATE INDEX incoming_phone ON incoming (phone, received_at);
CREATE INDEX incoming_received ON incoming (received_at);
CREATE INDEX mail_received ON mail (received_at);
CREATE INDEX notice_due ON notice (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX notice_lead ON notice (lead_id) WHERE lead_id IS NOT NULL;
CREATE INDEX notice_mail ON notice (mail_id);
CREATE INDEX orders_age ON orders (account, state, rank, id, due_at);
CREATE INDEX orders_due ON orders (account, due_at) WHERE state = 'waiting';
CREATE INDEX orders_held ON orders (cap, id) WHERE state = 'held';
CREATE INDEX orders_mail ON orders (mail_id);
CREATE INDEX orders_merged ON orders (merged_into) WHERE merged_into IS NOT NULL;
CREATE INDEX orders_open ON orders (expire_at) WHERE finished_at IS NULL;
CREATE INDEX orders_parent ON orders (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX orders_poll ON orders (account, poll_at) WHERE poll_at IS NOT NULL;
CREATE INDEX orders_request ON orders (request_id) WHERE request_id IS NOT NULL;
CREATE INDEX orders_started ON orders (start_at) WHERE finished_at IS NULL;
CREATE INDEX orders_storm ON orders (account, target) WHERE state = 'waiting';
CREATE INDEX orders_target ON orders (target, sent_at) WHERE sent_at IS NOT NULL;
CREATE INDEX orders_warn ON orders (warn_at) WHERE warn_at IS NOT NULL;
CREATE INDEX phone_last ON phone (last_at);
CREATE INDEX recipient_mail ON recipient (mail_id);
CREATE INDEX repeat_at ON repeat (at);
CREATE INDEX request_due ON request (account, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX spent_at ON spent (at);
CREATE INDEX step_due ON step (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX step_mail ON step (mail_id);
CREATE INDEX story_order ON story (order_id);
PRAGMA user_version = 4;
COMMIT;
