--- Where each region's services are.
--
-- Internal to @{cce.region}. From the region tables of the official SDKs, which
-- agree. A service that is not named in a row has no endpoint there.
--
-- @module cce.api.endpoints.regions
-- @local
return {
  -- For regions that have no IAM of their own.
  default_iam = "https://iam.myhuaweicloud.com",

  regions = {
    ["ae-ad-1"] = {
      cce = "https://cce.ae-ad-1.myhuaweicloud.com",
      iam = "https://iam.ae-ad-1.myhuaweicloud.com",
    },
    ["af-north-1"] = {
      cce = "https://cce.af-north-1.myhuaweicloud.com",
    },
    ["af-south-1"] = {
      cce = "https://cce.af-south-1.myhuaweicloud.com",
      iam = "https://iam.af-south-1.myhuaweicloud.com",
      sts = "https://sts.af-south-1.myhuaweicloud.com",
    },
    ["ap-southeast-1"] = {
      cce = "https://cce.ap-southeast-1.myhuaweicloud.com",
      iam = "https://iam.ap-southeast-1.myhuaweicloud.com",
      sts = "https://sts.ap-southeast-1.myhuaweicloud.com",
    },
    ["ap-southeast-2"] = {
      cce = "https://cce.ap-southeast-2.myhuaweicloud.com",
      iam = "https://iam.ap-southeast-2.myhuaweicloud.com",
      sts = "https://sts.ap-southeast-2.myhuaweicloud.com",
    },
    ["ap-southeast-3"] = {
      cce = "https://cce.ap-southeast-3.myhuaweicloud.com",
      iam = "https://iam.ap-southeast-3.myhuaweicloud.com",
      sts = "https://sts.ap-southeast-3.myhuaweicloud.com",
    },
    ["ap-southeast-4"] = {
      cce = "https://cce.ap-southeast-4.myhuaweicloud.com",
      iam = "https://iam.ap-southeast-4.myhuaweicloud.com",
      sts = "https://sts.ap-southeast-4.myhuaweicloud.com",
    },
    ["ap-southeast-5"] = {
      cce = "https://cce.ap-southeast-5.myhuaweicloud.com",
    },
    ["cn-east-2"] = {
      cce = "https://cce.cn-east-2.myhuaweicloud.com",
      iam = "https://iam.cn-east-2.myhuaweicloud.com",
    },
    ["cn-east-3"] = {
      cce = "https://cce.cn-east-3.myhuaweicloud.com",
      iam = "https://iam.cn-east-3.myhuaweicloud.com",
      sts = "https://sts.cn-east-3.myhuaweicloud.com",
    },
    ["cn-east-4"] = {
      cce = "https://cce.cn-east-4.myhuaweicloud.com",
      iam = "https://iam.cn-east-4.myhuaweicloud.com",
    },
    ["cn-east-5"] = {
      cce = "https://cce.cn-east-5.myhuaweicloud.com",
      iam = "https://iam.cn-east-5.myhuaweicloud.com",
    },
    ["cn-north-1"] = {
      cce = "https://cce.cn-north-1.myhuaweicloud.com",
      iam = "https://iam.cn-north-1.myhuaweicloud.com",
    },
    ["cn-north-11"] = {
      cce = "https://cce.cn-north-11.myhuaweicloud.com",
    },
    ["cn-north-12"] = {
      cce = "https://cce.cn-north-12.myhuaweicloud.com",
      iam = "https://iam.cn-north-12.myhuaweicloud.com",
    },
    ["cn-north-2"] = {
      cce = "https://cce.cn-north-2.myhuaweicloud.com",
      iam = "https://iam.cn-north-2.myhuaweicloud.com",
    },
    ["cn-north-4"] = {
      cce = "https://cce.cn-north-4.myhuaweicloud.com",
      iam = "https://iam.cn-north-4.myhuaweicloud.com",
      sts = "https://sts.cn-north-4.myhuaweicloud.com",
    },
    ["cn-north-9"] = {
      cce = "https://cce.cn-north-9.myhuaweicloud.com",
      iam = "https://iam.cn-north-9.myhuaweicloud.com",
    },
    ["cn-south-1"] = {
      cce = "https://cce.cn-south-1.myhuaweicloud.com",
      iam = "https://iam.cn-south-1.myhuaweicloud.com",
      sts = "https://sts.cn-south-1.myhuaweicloud.com",
    },
    ["cn-south-2"] = {
      cce = "https://cce.cn-south-2.myhuaweicloud.com",
      iam = "https://iam.cn-south-2.myhuaweicloud.com",
    },
    ["cn-south-4"] = {
      cce = "https://cce.cn-south-4.myhuaweicloud.com",
    },
    ["cn-southwest-2"] = {
      cce = "https://cce.cn-southwest-2.myhuaweicloud.com",
      iam = "https://iam.cn-southwest-2.myhuaweicloud.com",
      sts = "https://sts.cn-southwest-2.myhuaweicloud.com",
    },
    ["eu-west-0"] = {
      cce = "https://cce.eu-west-0.myhuaweicloud.com",
      iam = "https://iam.eu-west-0.myhuaweicloud.com",
    },
    ["eu-west-101"] = {
      cce = "https://cce.eu-west-101.myhuaweicloud.eu",
      -- The European cloud is a separate one, with accounts of its own.
      iam = "https://iam.eu-west-101.myhuaweicloud.eu",
    },
    ["la-north-2"] = {
      cce = "https://cce.la-north-2.myhuaweicloud.com",
      iam = "https://iam.la-north-2.myhuaweicloud.com",
    },
    ["la-south-2"] = {
      cce = "https://cce.la-south-2.myhuaweicloud.com",
      iam = "https://iam.la-south-2.myhuaweicloud.com",
      sts = "https://sts.la-south-2.myhuaweicloud.com",
    },
    ["me-east-1"] = {
      cce = "https://cce.me-east-1.myhuaweicloud.com",
      iam = "https://iam.me-east-1.myhuaweicloud.com",
    },
    ["my-kualalumpur-1"] = {
      cce = "https://cce.my-kualalumpur-1.myhuaweicloud.com",
      iam = "https://iam.my-kualalumpur-1.myhuaweicloud.com",
    },
    ["na-mexico-1"] = {
      cce = "https://cce.na-mexico-1.myhuaweicloud.com",
      iam = "https://iam.na-mexico-1.myhuaweicloud.com",
    },
    ["ru-moscow-1"] = {
      cce = "https://cce.ru-moscow-1.myhuaweicloud.com",
      iam = "https://iam.ru-moscow-1.myhuaweicloud.com",
    },
    ["ru-northwest-2"] = {
      cce = "https://cce.ru-northwest-2.myhuaweicloud.com",
    },
    ["sa-brazil-1"] = {
      cce = "https://cce.sa-brazil-1.myhuaweicloud.com",
      iam = "https://iam.sa-brazil-1.myhuaweicloud.com",
      sts = "https://sts.sa-brazil-1.myhuaweicloud.com",
    },
    ["tr-west-1"] = {
      cce = "https://cce.tr-west-1.myhuaweicloud.com",
      iam = "https://iam.tr-west-1.myhuaweicloud.com",
      sts = "https://sts.tr-west-1.myhuaweicloud.com",
    },
  },
}
