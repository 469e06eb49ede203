/** What runs in AWS: per region the endpoints that generate and the gateway in front of them. */
import { App } from 'aws-cdk-lib';
import { catalog } from '../models/catalog.ts';
import { buildApp } from './build-app.ts';
import { loadSettings } from './config.ts';
import { loadPinnedImages } from './pinned-images.ts';

const app = new App();
buildApp(
  app,
  loadSettings((key) => app.node.tryGetContext(key), loadPinnedImages()),
  catalog,
);
