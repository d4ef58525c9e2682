-- Hosts from which a platform's uploads may be fetched by address; no others are ever gone to.
CREATE TABLE platform_hosts (
  platform uuid NOT NULL REFERENCES platforms,
  host text NOT NULL,
  private boolean NOT NULL,
  PRIMARY KEY (platform, host)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON platform_hosts TO consentry_app;
